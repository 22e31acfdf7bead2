package core_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestOwnKeyIsLookedAtAgain: after a compaction the key is read until the read succeeds.
func TestOwnKeyIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		trouble func(t *testing.T, etcd *fakeetcd.Server, s *session.Session, key string)
		want    error
	}{
		{"key removed", func(_ *testing.T, etcd *fakeetcd.Server, _ *session.Session, key string) {
			etcd.Delete(key)
		}, session.ErrKeyDeleted},
		{"session taken over", func(t *testing.T, etcd *fakeetcd.Server, s *session.Session, _ string) {
			t.Helper()
			second, err := session.Resume(t.Context(), etcd.Client(t), s.Lease(), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(second.Orphan)
		}, session.ErrResumedElsewhere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				l, err := mutex.New(s, "a", nil).Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second) // then its key is watched
				etcd.BreakWatches(true)
				tt.trouble(t, etcd, s, l.Key())
				etcd.Put("other", "")
				etcd.Compact()
				refused, until := 0, time.Now().Add(8*time.Second)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/kv/range" && time.Now().Before(until) {
						refused++
						return fakeetcd.Denied()
					}
					return c.Apply()
				})
				etcd.BreakWatches(false)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if err := l.Err(); !errors.Is(err, tt.want) || refused == 0 {
					t.Errorf("after %d refused looks: %v", refused, err)
				}
			})
		})
	}
}

// TestNobodyLooksAfterWhatIsGivenBack: the reads end with the hold.
func TestNobodyLooksAfterWhatIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l, err := mutex.New(open(t, etcd, nil), "a", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // then its key is watched
		etcd.BreakWatches(true)
		etcd.Put("other", "")
		etcd.Compact()
		looks, own := 0, base64.StdEncoding.EncodeToString([]byte(l.Key()))
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/range" && strings.Contains(string(c.Body), own) {
				looks++
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		etcd.BreakWatches(false)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		before := looks
		if err := l.Unlock(t.Context()); err != nil || before == 0 {
			t.Fatalf("%v, after %d looks", err, before)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if looks != before {
			t.Errorf("%d looks after the end", looks-before)
		}
	})
}
