package line_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
)

// TestAMemberVeryFarBackCostsFewMessages: a member that is very far back watches one key, and its
// stream is asked for a sign of life twice a minute. Any other that waits is asked every 2 s.
func TestAMemberVeryFarBackCostsFewMessages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ahead, watches, most int
		join                 line.Join
	}{
		"a lock":             {veryFar, 1, 1, line.Join{Exclusive: true}},
		"a permit or a term": {veryFar, 1, 1, line.Join{Notes: true}},
		"nearer":             {veryFar / 2, 2, 15, line.Join{Exclusive: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				l := open(t, etcd)
				for i := range tt.ahead {
					etcd.Put(fmt.Sprint("a/m", i), "")
				}
				ctx, cancel := context.WithCancel(t.Context())
				w := goEnterAs(ctx, l, tt.join)
				time.Sleep(time.Second)
				before := etcd.ProgressRequests()
				if n := etcd.Watches() - 1; n != tt.watches { // but for the record's
					t.Errorf("%d watches", n)
				}
				time.Sleep(ownFarDelay - 2*time.Second)
				if n := etcd.ProgressRequests() - before; n > tt.most || n < tt.most*2/3 {
					t.Errorf("%d progress requests", n)
				}
				cancel()
				<-w.done
			})
		})
	}
}

// TestARemovedMemberVeryFarBackIsNotified: the wait of a member that another client has removed
// ends at the latest when it begins to watch its own key, and at once after that.
func TestARemovedMemberVeryFarBackIsNotified(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{time.Second, ownFarDelay + time.Second} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			l := open(t, etcd)
			behindMany(t, etcd, l)
			began := time.Now()
			w := goEnterAs(t.Context(), l, line.Join{Exclusive: true})
			time.Sleep(after)
			leave(etcd, l, "itself")
			<-w.done
			if took := time.Since(began); w.err == nil || took > max(after, ownFarDelay)+time.Second {
				t.Errorf("Enter = %v, after %v", w.err, took)
			}
		})
	}
}

// TestAMemberVeryFarBackOutlivesACompaction: a compaction before the watch of its own key does not
// make a member read the line again, and its watches stay patient. So does a read that fails, which
// is repeated.
func TestAMemberVeryFarBackOutlivesACompaction(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]bool{"compaction": false, "no answer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				l := open(t, etcd)
				behindMany(t, etcd, l)
				w := goEnterAs(t.Context(), l, line.Join{Exclusive: true})
				time.Sleep(time.Second)
				etcd.Put("b", "")
				etcd.Compact()
				var ranges atomic.Int64
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/kv/range" || c.Path == "/kv/txn" {
						ranges.Add(1)
						if failing {
							return c.Silence()
						}
					}
					return c.Apply()
				})
				time.Sleep(ownFarDelay + time.Second)
				etcd.Script(nil)
				if n := ranges.Load(); n != 1 || !w.waits() {
					t.Errorf("%d reads, Enter = %v", n, w.err)
				}
				time.Sleep(ownFarDelay + time.Second)
				if n := etcd.Watches() - 1; n != 2 || !w.waits() { // but for the record's
					t.Errorf("%d watches, Enter = %v", n, w.err)
				}
				before := etcd.ProgressRequests()
				time.Sleep(time.Minute)
				if n := etcd.ProgressRequests() - before; n > 3 {
					t.Errorf("%d progress requests", n)
				}
				leave(etcd, l, "itself")
				if w.waits() {
					t.Error("Enter waits after the key was deleted")
					leave(etcd, l, "predecessor")
					<-w.done
				}
			})
		})
	}
}
