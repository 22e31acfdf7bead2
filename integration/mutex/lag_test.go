package mutex_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
)

// A stream of watches that delivers some events and keeps back others is left in these times: a
// stream on which a watch is not confirmed, and a stream behind a revision that the client has
// seen.
const (
	unconfirmed = 2500 * time.Millisecond
	behind      = 3500 * time.Millisecond
)

// TestAHandOverDoesNotWaitForALaggingMember: the waiter's watches are on a member that gets
// everything 4 s late, and another watch of its client is busy there. Hand-overs do not wait for
// that member.
func TestAHandOverDoesNotWaitForALaggingMember(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		options := recipetest.Server(version)
		options.Members, options.PeerLinks = 3, true
		three := etcdtest.Start(t, options)
		leader := three.FindLeader(t)
		var lagging *etcdproc.Member
		for _, m := range three.Members() {
			if m != leader {
				lagging = m
			}
		}
		direct := newClient(t, gateway.Config{Endpoints: []string{leader.Endpoint()}})
		var r router
		r.set(lagging.Addr())
		waiter := r.client(t)
		begun := busyWatch(t, waiter, direct)
		r.set(leader.Addr())
		if err := three.Slow(leader, lagging, 4*time.Second); err != nil {
			t.Fatal(err)
		}
		handOvers(t, "from a member 4 s behind", behind, direct, waiter)
		if n := begun.Load(); n == 0 {
			t.Error("the other watch was not busy")
		}
	})
}

// TestAHandOverDoesNotWaitForAnUploadThatIsHeld: something on the way holds the uploads of the
// waiter's stream of watches, and another watch on that stream is busy.
func TestAHandOverDoesNotWaitForAnUploadThatIsHeld(t *testing.T) {
	t.Parallel()
	direct := newClient(t, gateway.Config{})
	var h holder
	waiter := newClient(t, gateway.Config{DialContext: h.dial})
	begun := busyWatch(t, waiter, direct)
	h.held.Store(true)
	pause(t, t.Context(), 2*beginning, "the beginning of the stream is over")
	handOvers(t, "where uploads are held", unconfirmed, direct, waiter)
	if n := begun.Load(); n == 0 || h.swallowed.Load() == 0 {
		t.Errorf("%d events of the other watch, %d uploads held", n, h.swallowed.Load())
	}
}

// busyWatch makes a watch of a client, and has it get 20 events a second until the end of the test.
func busyWatch(t *testing.T, c, direct *gateway.Client) *atomic.Int64 {
	t.Helper()
	key, got := fresh(t), new(atomic.Int64)
	w, err := c.Watch(within(t, 20*time.Second), key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	written, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		for _, err := range w.Events() {
			if err != nil {
				return
			}
			got.Add(1)
		}
	}()
	go func() {
		defer close(written)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = direct.Put(ctx, key, nil) // the next one will do
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		w.Close()
		<-written
		<-read
	})
	return got
}

// handOvers passes a lock to a client that waits for it, five times. The first may take until the
// stream is left, and the others go by another one.
func handOvers(t *testing.T, what string, limit time.Duration, from, to *gateway.Client) {
	t.Helper()
	a, b := newSession(t, from, nil), newSession(t, to, nil)
	name := fresh(t)
	var took []time.Duration
	for i := range 5 {
		held := lock(t, a, name)
		granted := make(chan *mutex.Lock, 1)
		go func() {
			l, err := mutex.New(b, name, nil).Lock(within(t, 30*time.Second))
			if err != nil {
				t.Error(err)
			}
			granted <- l
		}()
		eventually(t, "join", func() bool { return len(members(t, from, name)) == 2 })
		pause(t, t.Context(), 100*time.Millisecond, "the waiter asks for its watch")
		began := time.Now()
		unlock(t, held)
		l := <-granted
		d := time.Since(began)
		took = append(took, d.Round(time.Millisecond))
		if l == nil {
			return
		}
		unlock(t, l)
		if d > limit {
			t.Errorf("hand-over %d took %v", i+1, d)
		}
		limit = time.Second
	}
	figure(t, "hand-overs %s: %v", what, took)
}

// beginning is how long a stream is young.
const beginning = 50 * time.Millisecond

// holder makes connections that hold the uploads of a shared stream after its beginning.
type holder struct {
	held      atomic.Bool
	swallowed atomic.Int64
}

func (h *holder) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &holdConn{Conn: c, h: h}, nil
}

type holdConn struct {
	net.Conn
	h      *holder
	stream bool // used by the transport's writer alone
	begun  time.Time
}

func (c *holdConn) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("POST /v3/watch")) {
		c.stream, c.begun = bytes.Contains(b, []byte("Connection: close")), time.Now()
	}
	// The beginning of a stream passes.
	if c.stream && c.h.held.Load() && time.Since(c.begun) > beginning {
		c.h.swallowed.Add(1)
		return len(b), nil
	}
	return c.Conn.Write(b)
}
