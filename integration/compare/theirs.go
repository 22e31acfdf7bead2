package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

type clientV3 struct{}

func (clientV3) id() string { return "clientv3" }

func (clientV3) connect(ctx context.Context, etcd *etcdproc.Cluster, l link) (client, error) {
	c, err := dialV3(etcd, l)
	if err != nil {
		return nil, err
	}
	s, err := newSessionV3(ctx, c, l.ttl)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &theirs{c: c, s: s, ttl: l.ttl}, nil
}

func dialV3(etcd *etcdproc.Cluster, l link) (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints: etcd.Endpoints(), TLS: etcd.TLSConfig(), DialTimeout: 5 * time.Second,
		Logger: zap.NewNop(), // its warnings would appear among the results
	}
	if l.traffic != nil {
		config.DialOptions = append(config.DialOptions,
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				return l.dial(ctx, "tcp", addr)
			}))
	}
	return clientv3.New(config)
}

func newSessionV3(
	ctx context.Context, c *clientv3.Client, ttl time.Duration,
) (*concurrency.Session, error) {
	options := []concurrency.SessionOption{concurrency.WithContext(ctx)}
	if ttl > 0 {
		options = append(options, concurrency.WithTTL(int(ttl.Seconds())))
	}
	return concurrency.NewSession(c, options...)
}

type theirs struct {
	c    *clientv3.Client
	s    *concurrency.Session
	ttl  time.Duration
	more []*concurrency.Session
}

func (t *theirs) close() error {
	all := slices.Concat(t.more, []*concurrency.Session{t.s})
	err := inParallel(len(all), makers, func(i int) error {
		// An expired session needs no Close.
		if err := all[i].Close(); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		return nil
	})
	return errors.Join(err, t.c.Close())
}

func (t *theirs) sessions(ctx context.Context, n int, ttl time.Duration) error {
	t.more = make([]*concurrency.Session, n)
	return inParallel(n, sessionMakers(n), func(i int) (err error) {
		t.more[i], err = newSessionV3(ctx, t.c, ttl)
		return err
	})
}

func (t *theirs) lost() (n int) {
	for _, s := range t.more {
		select {
		case <-s.Done():
			n++
		default:
		}
	}
	return n
}

func (t *theirs) watch(ctx context.Context, key string) (watcher, error) {
	events := t.c.Watch(ctx, key)
	return func(ctx context.Context) error {
		select {
		case r, ok := <-events:
			if !ok {
				return errors.New("the watch has ended")
			}
			return r.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil
}

// rival uses a session of its own, because lockers that share a session share the lock.
func (t *theirs) rival(ctx context.Context, name string) (locker, error) {
	s, err := newSessionV3(ctx, t.c, t.ttl)
	if err != nil {
		return nil, err
	}
	t.more = append(t.more, s)
	return &theirLock{concurrency.NewMutex(s, name)}, nil
}

func (t *theirs) permits(name string) locker { return t.locker(name) }

func (t *theirs) locker(name string) locker { return &theirLock{concurrency.NewMutex(t.s, name)} }
func (t *theirs) elector(name string) elector {
	return &theirTerm{concurrency.NewElection(t.s, name)}
}
func (t *theirs) queue(name string, _ int) fifo { return &theirQueue{recipe.NewQueue(t.c, name)} }

type theirLock struct{ m *concurrency.Mutex }

func (l *theirLock) lock(ctx context.Context) error   { return l.m.Lock(ctx) }
func (l *theirLock) unlock(ctx context.Context) error { return l.m.Unlock(ctx) }

type theirTerm struct{ e *concurrency.Election }

func (t *theirTerm) campaign(ctx context.Context) error { return t.e.Campaign(ctx, "me") }
func (t *theirTerm) resign(ctx context.Context) error   { return t.e.Resign(ctx) }

// theirQueue takes no context, and it loses an item if its consumer dies. It is compared because
// clientv3 has no other queue.
type theirQueue struct{ q *recipe.Queue }

func (q *theirQueue) put(_ context.Context, value string) error { return q.q.Enqueue(value) }

func (q *theirQueue) take(context.Context) error {
	_, err := q.q.Dequeue()
	return err
}

func (q *theirQueue) drain(ctx context.Context, n, items int) error {
	return inParallel(n*items, n, func(int) error { return q.take(ctx) })
}

func (q *theirQueue) fill(ctx context.Context, n int) error {
	return inParallel(n, makers, func(int) error { return q.put(ctx, "an item") })
}
