package gateway_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAWatchLeavesASilentMember: if a member lets a request hang and sends nothing on its stream
// meanwhile, the client opens the stream at another member, because a member that is cut off
// answers probes and would keep the stream for seconds. The stream stays if it has sent an event,
// or if there is no other member. A confirmed watch counts no more than a probe.
func TestAWatchLeavesASilentMember(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		members int
		refuses bool // the member's own time limit is shorter
		event   bool
		watch   bool
		leaves  bool
	}{
		{"silent", 2, false, false, false, true},
		{"refuses in time", 2, true, false, false, true},
		{"with an event", 2, false, true, false, false},
		{"with a new watch", 2, false, false, true, true},
		{"alone", 1, false, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var hung atomic.Int64 // the member that was asked first, from 1
				s := newWatchServer(t, tt.members, func(w http.ResponseWriter, r request) {
					member := int64(r.member + 1)
					if hung.CompareAndSwap(0, member) || hung.Load() == member {
						if tt.refuses {
							time.Sleep(999 * time.Millisecond)
							answer(w, http.StatusGatewayTimeout,
								`{"code":4,"message":"context deadline exceeded"}`)
							return
						}
						hang(r)
						return
					}
					answer(w, 200, `{"header":{"cluster_id":"7","revision":"9"}}`)
				})
				c := s.client(t)
				r, _ := watch(t, c, "a")
				st := s.next(t)
				id := st.accept("a", 0, 5)
				time.Sleep(100 * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				defer cancel()
				done := make(chan error)
				go func() { _, err := c.Get(ctx, "k"); done <- err }()
				time.Sleep(500 * time.Millisecond)
				if tt.event {
					st.write(events(id, kv("a", 6)))
				}
				if tt.watch {
					_, stop := watch(t, c, "b")
					st.accept("b", 0, 5)
					stop()
				}
				if err := <-done; (err == nil) != (tt.members > 1) {
					t.Errorf("Get = %v", err)
				}
				if !tt.leaves {
					s.none(t)
					return
				}
				start := time.Now()
				st2 := s.next(t)
				if took := time.Since(start); took > 100*time.Millisecond ||
					st2.member == st.member {
					t.Errorf("the next stream came after %v, from %d to %d",
						took, st.member, st2.member)
				}
				id = st2.accept("a", 6, 9)
				st2.write(events(id, kv("a", 10)))
				r.want(t, "created 5", "a@10")
			})
		})
	}
}
