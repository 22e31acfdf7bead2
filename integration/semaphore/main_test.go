// Package semaphore_test tests the semaphore on real etcd.
package semaphore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/semaphore"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	pause      = recipetest.Pause
	members    = recipetest.Members
)

func TestMain(m *testing.M) { cluster.Main(m) }

func newHTTPProxy(tb testing.TB) *faultproxy.HTTPProxy {
	tb.Helper()
	p, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func acquire(tb testing.TB, m *semaphore.Semaphore, n int) *semaphore.Permit {
	tb.Helper()
	p, err := m.Acquire(within(tb, 20*time.Second), n)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func release(tb testing.TB, p *semaphore.Permit) {
	tb.Helper()
	if err := p.Release(within(tb, 20*time.Second)); err != nil {
		tb.Error(err)
	}
}

func resize(tb testing.TB, m *semaphore.Semaphore, limit int) {
	tb.Helper()
	if err := m.Resize(within(tb, 20*time.Second), limit); err != nil {
		tb.Fatal(err)
	}
}

// attempt is an Acquire that is under way.
type attempt struct {
	p    *semaphore.Permit
	err  error
	done chan struct{}
}

func goAcquire(ctx context.Context, m *semaphore.Semaphore, n int) *attempt {
	a := &attempt{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.p, a.err = m.Acquire(ctx, n)
	}()
	return a
}

// granted waits for the permit.
func (a *attempt) granted(tb testing.TB) *semaphore.Permit {
	tb.Helper()
	<-a.done
	if a.err != nil {
		tb.Fatal(a.err)
	}
	return a.p
}

// waits fails the test if an Acquire of the client has returned by the time at which the client has
// received all events so far.
func (a *attempt) waits(tb testing.TB, c *gateway.Client) {
	tb.Helper()
	recipetest.Marked(tb, c)
	select {
	case <-a.done:
		tb.Errorf("it does not wait: %v", a.err)
	default:
	}
}

// joined waits until the line has n members.
func joined(tb testing.TB, c *gateway.Client, name string, n int) {
	tb.Helper()
	eventually(tb, fmt.Sprintf("%d members", n), func() bool {
		return len(members(tb, c, name)) == n
	})
}

func revision(tb testing.TB, c *gateway.Client) int64 {
	tb.Helper()
	resp, err := c.Get(within(tb, 20*time.Second), "none")
	if err != nil {
		tb.Fatal(err)
	}
	return resp.Revision
}
