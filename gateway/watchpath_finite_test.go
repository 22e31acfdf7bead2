package gateway_test

import (
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestWatchesAreMergedIntoFewFiniteStreams: watches that are added one by one are moved between
// finite streams about as often as their number doubles, and end up on few streams.
func TestWatchesAreMergedIntoFewFiniteStreams(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 30, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t, modeShared)
				c := p.client(t)
				stand(t, c, "first", 2*time.Second)
				before, requests := p.created(), p.total()
				last := &tally{}
				for i := range n {
					last = stand(t, c, fmt.Sprint(i), 100*time.Millisecond)
					time.Sleep(time.Millisecond) // else all streams would have the same start
				}
				synctest.Wait()
				creates := p.created() - before
				t.Logf("%d watches: %d creates, %.2f each, on %d streams",
					n, creates, float64(creates)/float64(n), p.standing())
				if limit := n * (1 + bits.Len(uint(n))); creates > limit {
					t.Errorf("%d creates for %d watches, over %d", creates, n, limit)
				}
				if got := p.total() - requests; got != n {
					t.Errorf("%d streams were opened for %d watches", got, n)
				}
				if got := p.standing(); got > 8 {
					t.Errorf("%d streams are open", got)
				}
				p.put(last.key)
				synctest.Wait()
				p.check(t, last)
			})
		})
	}
}

// TestASilentFiniteStreamIsReplaced: a finite stream that is silent for 30 s is replaced, so that
// watches on a dead connection continue. On a live connection they receive each event once.
func TestASilentFiniteStreamIsReplaced(t *testing.T) {
	t.Parallel()
	for _, dead := range []bool{false, true} {
		t.Run(fmt.Sprint("dead ", dead), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t, modeShared)
				c := p.client(t)
				a := stand(t, c, "a", 2*time.Second)
				p.put("a")
				synctest.Wait()
				if dead {
					p.silence()
					p.put("a")
				}
				opened := func(d time.Duration) int {
					before := len(p.asked(modeFinite))
					time.Sleep(d)
					return len(p.asked(modeFinite)) - before
				}
				if n := opened(29 * time.Second); n != 0 {
					t.Errorf("%d streams were opened before 30 s had passed", n)
				}
				if n := opened(2 * time.Second); n != 1 {
					t.Errorf("%d streams were opened after 30 s", n)
				}
				p.check(t, a)
				p.put("a")
				n := 0
				for range 20 {
					n += opened(29 * time.Second)
					p.put("a")
				}
				if n > 0 {
					t.Errorf("%d streams were opened beside one that delivers", n)
				}
				if n := opened(10 * time.Minute); n < 19 || n > 20 {
					t.Errorf("%d streams were opened in 10 minutes", n)
				}
				if n := p.standing(); n != 1 {
					t.Errorf("%d streams are open", n)
				}
				p.check(t, a)
			})
		})
	}
}

// TestUnansweredWatchesAreLogged: unanswered watches are logged after 4 s, again at intervals that
// grow from half a minute to ten, and once at the end.
func TestUnansweredWatchesAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newWatchPath(t, modeShared, modeFinite, modePolling)
		var l logs
		c := p.client(t, func(cfg *gateway.Config) { cfg.Logger = l.logger() })
		start := time.Now()
		watch(t, c, "a")
		said := func(what string) int { return strings.Count(l.String(), what) }
		var at []int
		for time.Since(start) < time.Hour {
			time.Sleep(time.Second)
			if n := said("watches_unanswered"); n > len(at) {
				at = append(at, int(time.Since(start).Seconds()))
			}
		}
		for i, want := range []int{4, 34, 94, 214, 454, 934, 1534, 2134, 2734, 3334} {
			if i >= len(at) || at[i] < want || at[i] > want+10*(i+1) {
				t.Errorf("warned after %v s, want %d about the %d. time", at, want, i+1)
				break
			}
		}
		if n := said("watches_answered"); n != 0 {
			t.Errorf("said %d times that it is over", n)
		}
		p.hold()
		time.Sleep(5 * time.Minute)
		warned := said("watches_unanswered")
		if n := said("watches_answered"); n != 1 || modeOf(c) == gateway.WatchModeUnknown {
			t.Errorf("said %d times that it is over, mode %q", n, modeOf(c))
		}
		time.Sleep(time.Hour)
		if n := said("watches_answered"); n != 1 || said("watches_unanswered") != warned {
			t.Errorf("said it again: %d, %d", n, said("watches_unanswered")-warned)
		}
	})
}
