package core_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// strange are values that no session writes into its record.
var strange = []string{
	"", " ", "garbage", "null", "[]", "7", `{"ttl":"15"}`, `{"ttl":-1}`, `{"ttl":9223372036854775807}`,
	`{"ttl":99999999999999999999}`, `{"id":7}`, `{"started":"yesterday"}`, "\xff\x00",
}

// TestStrangeRecord: when another program has put a record, the session ends at once, with few
// requests. Inspect then shows its holds without data of the session.
func TestStrangeRecord(t *testing.T) {
	t.Parallel()
	for _, value := range strange {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s, other := open(t, etcd, nil), open(t, etcd, nil)
			lock, err := mutex.New(s, "a", nil).Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			calls := counted(etcd)
			etcd.Put(record(s), value)
			synctest.Wait()
			if err := lock.Err(); !errors.Is(err, session.ErrResumedElsewhere) ||
				lock.Context().Err() == nil {
				t.Errorf("Err with a record of %q = %v", value, err)
			}
			_, err = s.Txn(t.Context(), once("done", true))
			if !errors.Is(err, session.ErrResumedElsewhere) {
				t.Errorf("Txn with a record of %q = %v", value, err)
			}
			members, err := mutex.New(other, "a", nil).Inspect(t.Context())
			if err != nil || len(members) != 1 ||
				members[0].Session != nil && members[0].Session.Host != "" {
				t.Errorf("Inspect with a record of %q = %+v, %v", value, members, err)
			}
			if n := calls.Load(); n > 10 {
				t.Errorf("%d requests with a record of %q", n, value)
			}
		})
	}
}

// TestResumeOfAStrangeRecord: a record without a valid time to live is taken over, and trusted for
// as short a time as a record of an earlier version.
func TestResumeOfAStrangeRecord(t *testing.T) {
	t.Parallel()
	for _, value := range strange {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			s.Orphan()
			_, err := etcd.Client(t).Put(t.Context(), record(s), []byte(value), gateway.WithLease(s.Lease()))
			if err != nil {
				t.Fatal(err)
			}
			calls := counted(etcd)
			s = resume(t, etcd, s.Lease(), nil)
			if left := time.Until(s.Deadline()); left != 890*time.Millisecond {
				t.Errorf("trusted for %v with a record of %q", left, value)
			}
			if n := calls.Load(); n > 10 {
				t.Errorf("%d requests with a record of %q", n, value)
			}
			time.Sleep(20 * time.Second)
			if err := s.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// counted counts the calls from now on.
func counted(etcd *fakeetcd.Server) *atomic.Int64 {
	calls := new(atomic.Int64)
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if calls.Add(1) > 1000 {
			c.Sleep(time.Minute) // a busy loop must not stop the fake time
		}
		return c.Apply()
	})
	return calls
}
