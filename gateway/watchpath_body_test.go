package gateway_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheGatewayMayAnswerBeforeItHasReadAllWatches: etcd's gateway answers the first watch of a
// request while it reads the others, and Go's server discards the unread rest by then unless it is
// large. No watch that is requested together with others may be lost, in any mode, or on a stream
// that replaces another.
func TestTheGatewayMayAnswerBeforeItHasReadAllWatches(t *testing.T) {
	t.Parallel()
	for _, tt := range paths {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const watches = 100
				p := newWatchPath(t, tt.held...)
				c := p.client(t)
				stand(t, c, "first", 2*time.Second)
				var all []*tally
				for i := range watches {
					all = append(all, begin(t, c, fmt.Sprint(i, strings.Repeat("k", 40))))
				}
				time.Sleep(2 * time.Second)
				for _, y := range all {
					y.mu.Lock()
					if y.from == 0 {
						t.Errorf("watch %s was not confirmed", y.key)
					}
					y.mu.Unlock()
				}
				before := p.total()
				for range 3 {
					for _, y := range slices.Backward(all) {
						p.put(y.key)
					}
					time.Sleep(2 * time.Second)
					p.check(t, all...)
				}
				time.Sleep(10 * time.Second)
				for _, y := range all {
					p.put(y.key)
				}
				time.Sleep(2 * time.Second)
				p.check(t, all...)
				if got := modeOf(c); got != tt.mode {
					t.Errorf("the mode is %q", got)
				}
				if n := p.total() - before; n > 40 {
					t.Errorf("%d requests in 18 s", n)
				}
			})
		})
	}
}
