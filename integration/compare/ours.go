package main

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

type holdfast struct{}

func (holdfast) id() string { return "holdfast" }

func (holdfast) connect(ctx context.Context, etcd *etcdproc.Cluster, l link) (client, error) {
	config := gateway.Config{Endpoints: etcd.Endpoints(), TLS: etcd.TLSConfig()}
	if l.traffic != nil {
		config.DialContext = l.dial
	}
	c, err := gateway.New(config)
	if err != nil {
		return nil, err
	}
	s, err := session.New(ctx, c, &session.Options{TTL: l.ttl})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &ours{c: c, s: s, cache: l.cache, deferred: l.deferred}, nil
}

type ours struct {
	c    *gateway.Client
	s    *session.Session
	more []*session.Session

	cache, deferred bool
}

func (o *ours) close() error {
	all := slices.Concat(o.more, []*session.Session{o.s})
	err := inParallel(len(all), makers, func(i int) error {
		return all[i].Close(context.Background())
	})
	return errors.Join(err, o.c.Close())
}

func (o *ours) sessions(ctx context.Context, n int, ttl time.Duration) error {
	o.more = make([]*session.Session, n)
	return inParallel(n, sessionMakers(n), func(i int) (err error) {
		o.more[i], err = session.New(ctx, o.c, &session.Options{TTL: ttl})
		return err
	})
}

func (o *ours) lost() (n int) {
	for _, s := range o.more {
		if s.Err() != nil {
			n++
		}
	}
	return n
}

func (o *ours) watch(ctx context.Context, key string) (watcher, error) {
	w, err := o.c.Watch(ctx, key)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error {
		for _, err := range w.Events() {
			return err
		}
		return errors.New("the watch has ended")
	}, nil
}

func (o *ours) locker(name string) locker {
	return &ourLock{m: mutex.New(o.s, name, &mutex.Options{Cache: o.cache, DeferUnlock: o.deferred})}
}

// rival returns a plain locker, because goroutines exclude each other even if they share a session.
func (o *ours) rival(_ context.Context, name string) (locker, error) { return o.locker(name), nil }

func (o *ours) elector(name string) elector { return &ourTerm{e: election.New(o.s, name, nil)} }
func (o *ours) queue(name string, prefetch int) fifo {
	return &ourQueue{queue.New(o.s, name, &queue.Options{Prefetch: prefetch})}
}

type ourLock struct {
	m *mutex.Mutex
	l *mutex.Lock
}

func (l *ourLock) lock(ctx context.Context) (err error) {
	l.l, err = l.m.Lock(ctx)
	return err
}

func (l *ourLock) unlock(ctx context.Context) error { return l.l.Unlock(ctx) }

func (o *ours) permits(name string) locker {
	return &ourPermit{m: semaphore.New(o.s, name, 1, nil)}
}

type ourPermit struct {
	m *semaphore.Semaphore
	p *semaphore.Permit
}

func (p *ourPermit) lock(ctx context.Context) (err error) {
	p.p, err = p.m.Acquire(ctx, 1)
	return err
}

func (p *ourPermit) unlock(ctx context.Context) error { return p.p.Release(ctx) }

type ourTerm struct {
	e *election.Election
	t *election.Term
}

func (t *ourTerm) campaign(ctx context.Context) (err error) {
	t.t, err = t.e.Campaign(ctx, "me")
	return err
}

func (t *ourTerm) resign(ctx context.Context) error { return t.t.Resign(ctx) }

type ourQueue struct{ q *queue.Queue }

func (q *ourQueue) put(ctx context.Context, value string) error {
	_, err := q.q.Enqueue(ctx, []byte(value), nil)
	return err
}

func (q *ourQueue) take(ctx context.Context) error {
	m, err := q.q.Receive(ctx)
	if err != nil {
		return err
	}
	return m.Ack(ctx)
}

func (q *ourQueue) drain(ctx context.Context, n, items int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var taken atomic.Int64
	err := q.q.Consume(ctx, n, func(context.Context, *queue.Message) error {
		if taken.Add(1) == int64(n*items) {
			stop(errDrained)
		}
		return nil
	})
	if errors.Is(err, errDrained) {
		return nil
	}
	return err
}

var errDrained = errors.New("drained")

func (q *ourQueue) fill(ctx context.Context, n int) error {
	values := make([][]byte, n)
	for i := range values {
		values[i] = []byte("an item")
	}
	_, err := q.q.EnqueueAll(ctx, values, nil)
	return err
}
