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

// library is one of the libraries that are compared. Each case is written once, against these
// interfaces.
type library interface {
	connect(ctx context.Context, etcd *etcdproc.Cluster, l link) (client, error)
	id() string
}

// link is the configuration of a client's connection. The zero value is the library's default.
type link struct {
	ttl     time.Duration // of its session
	traffic *atomic.Int64 // counts the received bytes
	cache   bool          // holdfast's locks stay after an unlock
	// deferred: holdfast sends an unlock with the next lock
	deferred bool
}

// client is a client of etcd with a session.
type client interface {
	locker(name string) locker
	rival(ctx context.Context, name string) (locker, error) // excludes others of the client
	elector(name string) elector
	// permits returns one permit at a time; clientv3 has no semaphore, so its lock.
	permits(name string) locker
	queue(name string, prefetch int) fifo // clientv3's recipe has no prefetch
	// transfer is a transaction of the library's STM. cached is stm.Options.Cache.
	transfer(ctx context.Context, from, to string, cached bool) error
	swap(ctx context.Context, key string) error // in one bare transaction that puts a key
	// watch returns when the watch is established.
	watch(ctx context.Context, key string) (watcher, error)
	sessions(ctx context.Context, n int, ttl time.Duration) error // opens n more until close
	lost() int                                                    // how many have ended early
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
	take(ctx context.Context) error // removes an item
	// drain removes n times as many items, in n goroutines.
	drain(ctx context.Context, n, items int) error
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

// inParallel calls fn for each of 0 to n-1, in the given number of goroutines. Each goroutine stops
// at its first error. It returns all these errors.
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

// makers is the number of goroutines that open or close many sessions or watches.
const makers = 64

// sessionMakers returns fewer, because the connections that they leave open for a while are
// counted.
func sessionMakers(n int) int { return max(1, n/1000) }
