package gateway_test

import (
	"context"
	"fmt"
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

	mu   sync.Mutex
	down bool
	late int // dials since it is down
	open []net.Conn
}

func (n *cutNetwork) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		n.late++
		return nil, syscall.ECONNREFUSED
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
	n.down, n.late = down, 0
	for _, conn := range n.open {
		_ = conn.Close()
	}
	n.open = nil
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

// TestStreamsThatAreRefusedAreTriedWithGrowingPauses: a client whose streams are all refused tries
// about once a second, and one stream that is confirmed ends that.
func TestStreamsThatAreRefusedAreTriedWithGrowingPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newWatchPath(t)
		n := &cutNetwork{dial: p.net.Dial}
		c := p.client(t, func(cfg *gateway.Config) { cfg.DialContext = n.Dial })
		stand(t, c, "a", time.Second)
		time.Sleep(time.Second)
		n.cut(true)
		time.Sleep(time.Minute)
		n.mu.Lock()
		late := n.late
		n.mu.Unlock()
		if late < 40 || late > 90 {
			t.Errorf("%d dials in a minute", late)
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
