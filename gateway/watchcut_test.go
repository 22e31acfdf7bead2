package gateway_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// cutNetwork is a network whose connections can all be cut at once, and that can be down.
type cutNetwork struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	late func() time.Duration // how long a dial takes; nil: no time

	mu     sync.Mutex
	down   bool
	resets bool // while it is down, connections are accepted, and cut after a millisecond
	dials  int  // since the last cut
	open   []net.Conn
}

func (n *cutNetwork) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if n.late != nil {
		time.Sleep(n.late())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	if n.down && !n.resets {
		return nil, syscall.ECONNREFUSED
	}
	if n.down {
		conn, server := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, server) }()
		time.AfterFunc(time.Millisecond, func() { _ = server.Close() })
		return conn, nil
	}
	conn, err := n.dial(ctx, network, addr)
	if err == nil {
		n.open = append(n.open, conn)
	}
	return conn, err
}

func (n *cutNetwork) cut(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down, n.dials = down, 0
	for _, conn := range n.open {
		_ = conn.Close()
	}
	n.open = nil
}

// cutEvery makes each connection of a client break at that age.
func (p *watchPath) cutEvery(d time.Duration) func(*gateway.Config) {
	return func(cfg *gateway.Config) {
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := p.net.Dial(ctx, network, addr)
			if err == nil {
				time.AfterFunc(d, func() { _ = conn.Close() })
			}
			return conn, err
		}
	}
}

// TestAWatchDeliversOverConnectionsThatAreCut: a watch whose connections are all cut every 100 ms
// delivers within 2 s, although etcd serves a watch of the past only every 100 ms, and although the
// pauses between streams had grown in an outage before.
func TestAWatchDeliversOverConnectionsThatAreCut(t *testing.T) {
	t.Parallel()
	const period = 100 * time.Millisecond
	for _, outage := range []time.Duration{0, 20 * time.Second} {
		for phase := 10 * time.Millisecond; phase < period; phase += 20 * time.Millisecond {
			t.Run(fmt.Sprintf("outage %v, phase %v", outage, phase), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := newWatchPath(t)
					p.catchUp = period
					n := &cutNetwork{dial: p.net.Dial}
					c := p.client(t, func(cfg *gateway.Config) { cfg.DialContext = n.Dial })
					y := stand(t, c, "a", time.Second)
					if outage > 0 {
						n.cut(true)
						time.Sleep(outage)
						n.cut(false)
					}
					time.Sleep(period - time.Since(time.Time{})%period + phase)
					last, heard, longest := 0, time.Now(), time.Duration(0)
					for range 300 {
						n.cut(false)
						for range 10 {
							p.put("a")
							time.Sleep(period / 10)
							if got := y.count(); got > last {
								last, heard = got, time.Now()
							}
							longest = max(longest, time.Since(heard))
						}
					}
					if longest > 2*time.Second {
						t.Errorf("no event for %v", longest)
					}
					time.Sleep(period)
					p.check(t, y)
				})
			})
		}
	}
}

// TestAWatchDeliversOverSlowConnectionsThatAreCut: a watch on a path that cuts all connections
// every 100 ms, and that needs nearly as long to set one up and answer on it, delivers within
// 2.5 s, in all of 10 minutes.
func TestAWatchDeliversOverSlowConnectionsThatAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const period = 100 * time.Millisecond
		late := lateness(80 * time.Millisecond)
		p := newWatchPath(t)
		p.catchUp, p.late = period, late
		n := &cutNetwork{dial: p.net.Dial, late: late}
		c := p.client(t, func(cfg *gateway.Config) { cfg.DialContext = n.Dial })
		y := stand(t, c, "a", 5*time.Second)
		before, began := p.total(), time.Now()
		last, heard, longest := 0, began, time.Duration(0)
		for time.Since(began) < 10*time.Minute {
			n.cut(false)
			for range 4 {
				p.put("a")
				// A little more than the period in all, so that the cuts and the moments at which
				// watches are served drift apart.
				time.Sleep(period/4 + 200*time.Microsecond)
				if got := y.count(); got > last {
					last, heard = got, time.Now()
				}
				longest = max(longest, time.Since(heard))
			}
		}
		rate := float64(p.total()-before) / time.Since(began).Seconds()
		t.Logf("%.1f streams a second, the longest time without an event was %v", rate, longest)
		if longest > 2500*time.Millisecond || rate > 12.5 {
			t.Errorf("%.1f streams a second, no event for %v", rate, longest)
		}
	})
}

// lateness returns a function that returns random times. Two of them have the mean.
func lateness(mean time.Duration) func() time.Duration {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2))
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(random.ExpFloat64() * float64(mean) / 2)
	}
}

// TestStreamsThatAreNotConfirmedAreTriedWithGrowingPauses: a client whose streams are all refused
// tries about once a second. If they are cut before an answer, it tries more often for 10 s after
// the last one that was confirmed. One stream that is confirmed ends the pauses.
func TestStreamsThatAreNotConfirmedAreTriedWithGrowingPauses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		resets      bool
		least, most int // streams in the first minute
		dials       int // of each stream
	}{
		{"refused", false, 40, 90, 1},
		{"cut", true, 150, 220, 2}, // the second dial looks for the cause
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newWatchPath(t)
				n := &cutNetwork{dial: p.net.Dial, resets: tt.resets}
				c := p.client(t, func(cfg *gateway.Config) { cfg.DialContext = n.Dial })
				stand(t, c, "a", time.Second)
				time.Sleep(time.Second)
				streams := func() int {
					n.mu.Lock()
					defer n.mu.Unlock()
					return n.dials / tt.dials
				}
				n.cut(true)
				time.Sleep(time.Minute)
				first := streams()
				if first < tt.least || first > tt.most {
					t.Errorf("%d streams in the first minute", first)
				}
				time.Sleep(time.Minute)
				if second := streams() - first; second < 40 || second > 90 {
					t.Errorf("%d streams in the second minute", second)
				}
				n.cut(false)
				time.Sleep(2 * time.Second)
				for range 10 {
					n.cut(false)
					time.Sleep(100 * time.Millisecond)
					if p.standing() != 1 {
						t.Error("no stream 100 ms after a cut")
					}
				}
			})
		})
	}
}

// TestAStreamThatIsCutBeforeItsAnswerIsReplaced: a stream that is cut before its answer is replaced
// soon, and does not make the client leave the mode that it uses.
func TestAStreamThatIsCutBeforeItsAnswerIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		r, _ := watch(t, c, "a")
		st := s.next(t)
		for range 3 {
			st.create("a", 0)
			cut := time.Now()
			st.cut()
			st = s.next(t)
			if took := time.Since(cut); took > 200*time.Millisecond {
				t.Errorf("the next stream came after %v", took)
			}
		}
		st.accept("a", 0, 5)
		r.want(t, "created 5")
		if mode := modeOf(c); mode != gateway.WatchModeShared {
			t.Errorf("mode %q", mode)
		}
	})
}
