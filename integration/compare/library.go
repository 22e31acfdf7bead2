package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// library is one of those that are compared. What the cases do is written once, against these interfaces.
type library interface {
	connect(ctx context.Context, etcd *etcdproc.Cluster, l link) (client, error)
	id() string
}

// link says how a client is to be connected. The zero value is what a program gets that asks for nothing.
type link struct {
	ttl     time.Duration // of its session
	traffic *atomic.Int64 // counts the bytes it receives
}

// client is a client of etcd with a session.
type client interface {
	locker(name string) locker
	rival(ctx context.Context, name string) (locker, error) // which excludes others of the client
	elector(name string) elector
	queue(name string) fifo
	watch(ctx context.Context, key string) (watcher, error)       // stands when it returns
	sessions(ctx context.Context, n int, ttl time.Duration) error // makes so many more, for as long as the client lasts
	lost() int                                                    // how many of them have ended by themselves
	close() error
}

// locker is used by one goroutine at a time.
type locker interface {
	lock(ctx context.Context) error
	unlock(ctx context.Context) error
}

type elector interface {
	campaign(ctx context.Context) error
	resign(ctx context.Context) error
}

type fifo interface {
	put(ctx context.Context, value string) error
	take(ctx context.Context) error // an item, for good
	fill(ctx context.Context, n int) error
}

// watcher waits for the next event.
type watcher func(ctx context.Context) error

// dial makes connections whose incoming bytes are counted.
func (l link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil || l.traffic == nil {
		return c, err
	}
	return countedConn{c, l.traffic}, nil
}

type countedConn struct {
	net.Conn
	in *atomic.Int64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

// inParallel runs fn for each of 0 to n-1, in as many goroutines as given, and stops at the first error of each.
func inParallel(n, goroutines int, fn func(i int) error) error {
	errs := make([]error, goroutines)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := g; i < n && errs[g] == nil; i += goroutines {
				errs[g] = fn(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// makers is how many goroutines make or unmake what there is much of.
const makers = 64

// sessionMakers are fewer, since what they leave behind is counted: connections that are kept for a while.
func sessionMakers(n int) int { return max(1, n/1000) }
