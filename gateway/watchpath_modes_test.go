package gateway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

const (
	modeShared  = gateway.WatchModeShared
	modeFinite  = gateway.WatchModeFinite
	modePolling = gateway.WatchModePolling
)

// paths maps each mode to the kinds of stream that must be held back for a client to use it.
var paths = []struct {
	mode gateway.WatchMode
	held []gateway.WatchMode
}{
	{modeShared, nil},
	{modeFinite, []gateway.WatchMode{modeShared}},
	{modePolling, []gateway.WatchMode{modeShared, modeFinite}},
}

// since returns the seconds since a moment, rounded to five.
func since(start time.Time, at []time.Time) (s []int) {
	for _, t := range at {
		s = append(s, int(t.Sub(start).Round(5*time.Second).Seconds()))
	}
	return s
}

// TestAWatchGetsItsEventsSoonAfterAChangeOfMode: a watch that was just confirmed in another mode
// than the one it began in gets events at once, while the streams that were tried before are still
// waited for.
func TestAWatchGetsItsEventsSoonAfterAChangeOfMode(t *testing.T) {
	t.Parallel()
	for _, tt := range paths {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t, tt.held...)
				a := stand(t, p.client(t), "a", 2*time.Second)
				p.put("a")
				time.Sleep(time.Second)
				p.check(t, a)
			})
		})
	}
}

// TestBetterModesAreTriedAgain: better modes are tried again after 15 s, and then at intervals that
// double up to ten minutes. When one works, the watches move there and miss nothing.
func TestBetterModesAreTriedAgain(t *testing.T) {
	t.Parallel()
	for _, from := range paths[1:] {
		t.Run(string(from.mode), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t, from.held...)
				c := p.client(t)
				start := time.Now()
				a, b := stand(t, c, "a", 2*time.Second), stand(t, c, "b", 2*time.Second)
				if got := modeOf(c); got != from.mode {
					t.Fatalf("the mode is %q", got)
				}
				puts := func() {
					p.put("a")
					p.put("b")
					time.Sleep(time.Second)
				}
				for time.Since(start) < 16*time.Minute {
					puts()
				}
				want := "[0 15 45 105 225 465 945]"
				if got := fmt.Sprint(since(start, p.asked(modeShared))); got != want {
					t.Errorf("a shared stream was tried after %s s, want %s", got, want)
				}
				p.hold()
				for time.Since(start) < 26*time.Minute {
					puts()
				}
				if got := modeOf(c); got != modeShared {
					t.Errorf("the mode is %q after the path was mended", got)
				}
				if n := p.standing(); n != 1 {
					t.Errorf("%d streams are left", n)
				}
				p.check(t, a, b)
			})
		})
	}
}

// TestNewWatchesBeginInTheModeThatWorked: after a time without watches, new ones begin in the mode
// that worked. If it works no longer, they are confirmed in a worse mode as fast as on a new path.
func TestNewWatchesBeginInTheModeThatWorked(t *testing.T) {
	t.Parallel()
	for _, better := range []bool{false, true} {
		t.Run(fmt.Sprint("mended ", better), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t, modeShared)
				c := p.client(t)
				stand(t, c, "a", 2*time.Second).stop()
				time.Sleep(10 * time.Second)
				if n := p.standing(); n != 0 {
					t.Fatalf("%d streams without a watch", n)
				}
				tries := len(p.asked(modeShared))
				b := stand(t, c, "b", 10*time.Millisecond)
				if n := len(p.asked(modeShared)) - tries; n != 0 {
					t.Errorf("%d shared streams were tried where finite ones work", n)
				}
				b.stop()
				want := modePolling
				p.hold(modeShared, modeFinite)
				if better {
					want = modeShared
					p.hold(modeFinite)
				}
				d := stand(t, c, "d", 2*time.Second)
				e := stand(t, c, "e", 2*time.Second)
				for range 150 {
					p.put("d")
					p.put("e")
					time.Sleep(time.Second)
				}
				if got := modeOf(c); got != want {
					t.Errorf("the mode is %q, want %q", got, want)
				}
				time.Sleep(2 * time.Second)
				p.check(t, d, e)
			})
		})
	}
}

// TestAWatchWorksWhereAProxyHoldsUploads: a proxy forwards the first messages of a shared stream,
// and holds back the later ones. Watches are still confirmed, the first one after a check whether
// the path is dead. Then the client uses finite streams.
func TestAWatchWorksWhereAProxyHoldsUploads(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		t.Run(fmt.Sprint("busy ", busy), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t)
				c := p.client(t)
				all := []*tally{stand(t, c, "a", time.Second)}
				time.Sleep(5 * time.Second)
				p.holdUploads()
				if busy {
					done := make(chan struct{})
					defer func() { <-done }()
					go func() {
						defer close(done)
						for range 300 {
							p.put("a")
							time.Sleep(100 * time.Millisecond)
						}
					}()
				}
				time.Sleep(time.Second)
				for i, d := range []time.Duration{
					4 * time.Second, 4 * time.Second,
					500 * time.Millisecond,
				} {
					all = append(all, stand(t, c, fmt.Sprint(i), d))
					time.Sleep(3 * time.Second)
				}
				if got := modeOf(c); got != modeFinite {
					t.Errorf("the mode is %q", got)
				}
				for _, y := range all {
					p.put(y.key)
				}
				time.Sleep(30 * time.Second)
				p.check(t, all...)
			})
		})
	}
}

// TestWatchesLoseNothingWhenEveryConnectionIsCut: if every connection breaks after 5 s, watches in
// each mode lose and repeat no event, and cost few requests.
func TestWatchesLoseNothingWhenEveryConnectionIsCut(t *testing.T) {
	t.Parallel()
	for _, tt := range paths {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t, tt.held...)
				c := p.client(t, p.cutEvery(5*time.Second))
				all := []*tally{stand(t, c, "0", 2*time.Second)}
				for i := range 4 {
					all = append(all, stand(t, c, fmt.Sprint(i+1), 2*time.Second))
				}
				if got := modeOf(c); got != tt.mode {
					t.Fatalf("the mode is %q", got)
				}
				before := p.total()
				const lasts = 2 * time.Minute
				for start := time.Now(); time.Since(start) < lasts; {
					for _, y := range all {
						p.put(y.key)
						time.Sleep(13 * time.Millisecond)
					}
				}
				n := p.total() - before
				t.Logf("%.2f requests a second", float64(n)/lasts.Seconds())
				if limit := 2.5 * lasts.Seconds(); float64(n) > limit {
					t.Errorf("%d requests in %v", n, lasts)
				}
				time.Sleep(10 * time.Second)
				p.check(t, all...)
			})
		})
	}
}
