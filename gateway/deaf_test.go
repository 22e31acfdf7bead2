package gateway_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAStreamThatConfirmsNoWatchIsClosed: a stream is closed if it delivers events of one watch but
// does not confirm another.
func TestAStreamThatConfirmsNoWatchIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, nil)
		c := s.client(t)
		_, _ = watch(t, c, "busy")
		st := s.next(t)
		id, rev := st.accept("busy", 0, 5), int64(5)
		b, _ := watch(t, c, "b")
		start := time.Now()
		stop := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					rev++
					st.write(events(id, kv("busy", rev)))
				}
			}
		}()
		st2 := s.next(t)
		close(stop)
		<-ended
		if took := time.Since(start); took > 4*time.Second || st2.member == st.member {
			t.Errorf("left after %v, from %d to %d", took, st.member, st2.member)
		}
		for range 2 {
			st2.write(created(st2.read().Create.ID, rev))
		}
		b.want(t, fmt.Sprint("created ", rev))
	})
}

// TestAStreamThatFallsBehindIsClosed: a stream is closed if it delivers events and answers probes,
// but does not reach a revision that the client has seen elsewhere.
func TestAStreamThatFallsBehindIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, func(w http.ResponseWriter, _ request) {
			answer(w, 200, `{"header":{"cluster_id":"7","revision":"100"}}`)
		})
		c := s.client(t)
		_, _ = watch(t, c, "a")
		st := s.next(t)
		st.accept("a", 0, 5)
		if _, err := c.Get(within(t, time.Minute), "k", gateway.Serializable()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		go func() {
			for {
				select {
				case m := <-st.messages:
					if m.Create != nil {
						st.write(created(m.Create.ID, 6))
					}
				case <-st.gone:
					return
				}
			}
		}()
		st2 := s.next(t)
		if took := time.Since(start); took > 5*time.Second || st2.member == st.member {
			t.Errorf("left after %v, from %d to %d", took, st.member, st2.member)
		}
		st2.accept("a", 6, 100)
	})
}
