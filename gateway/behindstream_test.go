package gateway_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// advancing returns a client whose reads show a revision that the test sets, and the life of the
// stream of its watch, which has answered progress requests.
func advancing(t *testing.T, opts ...gateway.Option) (
	s *watchServer, l *life, advance func(rev int64),
) {
	t.Helper()
	var now atomic.Int64
	s = newWatchServer(t, 2, func(w http.ResponseWriter, _ request) {
		answer(w, 200, fmt.Sprintf(`{"header":{"cluster_id":"7","revision":"%d"}}`, now.Load()))
	})
	c := s.client(t)
	_, _ = watch(t, c, "a", opts...)
	l = &life{st: s.next(t), reports: true, confirms: true}
	l.st.accept("a", 0, 5)
	l.serve(35 * time.Second)
	l.progress, l.creates = 0, 0
	return s, l, func(rev int64) {
		now.Store(rev)
		if _, err := c.Get(within(t, time.Minute), "k", gateway.Serializable()); err != nil {
			t.Error(err)
		}
	}
}

// TestAStreamThatIsBehindIsAskedForProgressAlone: when other answers show later revisions, a stream
// costs a message and its answer, and none if it only has patient watches.
func TestAStreamThatIsBehindIsAskedForProgressAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts  []gateway.Option
		asked int // in a minute, at most
	}{
		"patient":     {[]gateway.Option{gateway.Patient()}, 3},
		"not patient": {nil, 45},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, l, advance := advancing(t, tt.opts...)
				for i := range 12 {
					rev := int64(100 + i)
					l.rev.Store(rev)
					advance(rev)
					l.serve(5 * time.Second)
				}
				if l.progress > tt.asked || l.creates > 0 {
					t.Errorf("%d progress requests and %d probes", l.progress, l.creates)
				}
				s.none(t)
			})
		})
	}
}

// TestAStreamWhoseProgressFallsBehindIsLeft: a member that answers everything, but does not reach a
// revision that the client has seen elsewhere, is left, also if it has reported progress.
func TestAStreamWhoseProgressFallsBehindIsLeft(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []gateway.Option
		most time.Duration
	}{
		"patient":     {[]gateway.Option{gateway.Patient()}, 32 * time.Second},
		"not patient": {nil, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, l, advance := advancing(t, tt.opts...)
				advance(100)
				start := time.Now()
				go l.serve(time.Minute)
				st2 := s.next(t)
				if took := time.Since(start); took > tt.most || st2.member == l.st.member {
					t.Errorf("left after %v", took)
				}
				l.st.hungUp()
			})
		})
	}
}
