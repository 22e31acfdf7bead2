package core_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// raised answers as members with an election timeout of 10 s do: they grant no lease for less than
// 15 s. The current leader, which expires the lease, uses the requested time to live.
func raised(c *fakeetcd.Call) fakeetcd.Answer {
	a := c.Apply()
	if strings.HasPrefix(c.Path, "/lease/") {
		a.Body = regexp.MustCompile(`"TTL":"?[0-9]+"?`).ReplaceAll(a.Body, []byte(`"TTL":"15"`))
	}
	return a
}

// endsInTime stops the server and compares the end of the context with the end of the lease.
func endsInTime(t *testing.T, etcd *fakeetcd.Server, s *session.Session) {
	t.Helper()
	etcd.Freeze()
	<-s.Context().Done()
	if !etcd.Expiry(s.Lease()).IsZero() {
		t.Fatal("the server was first")
	}
	ended := time.Now()
	time.Sleep(15 * time.Second)
	if d := etcd.Expiry(s.Lease()).Sub(ended); d < 100*time.Millisecond || d > time.Second {
		t.Errorf("ended %v before the server's expiry", d)
	}
}

// TestRaisedTTL: a session requests 5 s and members answer 15 s. It relies on 5 s from each send,
// and renews as often.
func TestRaisedTTL(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Second, 4 * time.Second, 20 * time.Second} {
		t.Run(fmt.Sprintf("cut off after %v", after), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				etcd.Script(raised)
				s := open(t, etcd, short(5*time.Second))
				time.Sleep(after)
				if err := s.Err(); err != nil {
					t.Fatalf("renewed too seldom: %v", err)
				}
				if left := time.Until(s.Deadline()); left > 4850*time.Millisecond {
					t.Errorf("trusted for %v", left)
				}
				endsInTime(t, etcd, s)
			})
		})
	}
}

// TestRaisedTTLResumed: a process that resumes the session reads the requested time to live from
// the record.
func TestRaisedTTLResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		etcd.Script(raised)
		s := open(t, etcd, short(5*time.Second))
		for range 2 { // also from the record of a resumed session
			s.Orphan()
			s = resume(t, etcd, s.Lease(), &session.Options{TTL: time.Minute})
			if left := time.Until(s.Deadline()); left != 4850*time.Millisecond {
				t.Errorf("trusted for %v", left)
			}
			time.Sleep(20 * time.Second)
		}
		endsInTime(t, etcd, s)
	})
}

// TestResumeOfAnOldRecord: a record of an earlier version has no time to live, which may have been
// 1 s.
func TestResumeOfAnOldRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		key := session.DefaultRecordPrefix + s.Lease().String()
		kv, _ := etcd.Get(key)
		var fields map[string]any
		if err := json.Unmarshal(kv.Value, &fields); err != nil || fields["ttl"] != 15.0 {
			t.Fatalf("record %s: %v", kv.Value, err)
		}
		s.Orphan()
		delete(fields, "ttl")
		old, _ := json.Marshal(fields)
		if _, err := etcd.Client(t).Put(t.Context(), key, old, gateway.WithLease(s.Lease())); err != nil {
			t.Fatal(err)
		}
		s = resume(t, etcd, s.Lease(), nil)
		if left := time.Until(s.Deadline()); left != 890*time.Millisecond {
			t.Errorf("trusted for %v", left)
		}
		time.Sleep(20 * time.Second)
		if err := s.Err(); err != nil {
			t.Error(err)
		}
	})
}
