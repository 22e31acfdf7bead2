package main

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// library is one of the two that are compared. What the cases do is written once, against these interfaces.
type library interface {
	connect(ctx context.Context, etcd *etcdproc.Cluster) (client, error)
	id() string
}

// client is a client of etcd with a session.
type client interface {
	locker(name string) locker
	rival(ctx context.Context, name string) (locker, error) // which excludes others of the client
	elector(name string) elector
	queue(name string) fifo
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
}

type holdfast struct{}

func (holdfast) id() string { return "holdfast" }

func (holdfast) connect(ctx context.Context, etcd *etcdproc.Cluster) (client, error) {
	c, err := gateway.New(gateway.Config{Endpoints: etcd.Endpoints(), TLS: etcd.TLSConfig()})
	if err != nil {
		return nil, err
	}
	s, err := session.New(ctx, c, nil)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &ours{c, s}, nil
}

type ours struct {
	c *gateway.Client
	s *session.Session
}

func (o *ours) close() error {
	return errors.Join(o.s.Close(context.Background()), o.c.Close())
}

func (o *ours) locker(name string) locker { return &ourLock{m: mutex.New(o.s, name)} }

// rival is a locker: goroutines exclude each other, also when they share a session.
func (o *ours) rival(_ context.Context, name string) (locker, error) { return o.locker(name), nil }

func (o *ours) elector(name string) elector { return &ourTerm{e: election.New(o.s, name)} }
func (o *ours) queue(name string) fifo      { return &ourQueue{queue.New(o.s, name, nil)} }

type ourLock struct {
	m *mutex.Mutex
	l *mutex.Lock
}

func (l *ourLock) lock(ctx context.Context) (err error) {
	l.l, err = l.m.Lock(ctx)
	return err
}

func (l *ourLock) unlock(ctx context.Context) error { return l.l.Unlock(ctx) }

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

type clientV3 struct{}

func (clientV3) id() string { return "clientv3" }

func (clientV3) connect(ctx context.Context, etcd *etcdproc.Cluster) (client, error) {
	c, err := etcd.NewClientV3()
	if err != nil {
		return nil, err
	}
	s, err := concurrency.NewSession(c, concurrency.WithContext(ctx))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &theirs{c: c, s: s}, nil
}

type theirs struct {
	c      *clientv3.Client
	s      *concurrency.Session
	rivals []*concurrency.Session
}

func (t *theirs) close() error {
	for _, s := range append(t.rivals, t.s) {
		s.Orphan() // their leases go with the cluster
	}
	return t.c.Close()
}

// rival has a session of its own: those who share one share the lock.
func (t *theirs) rival(ctx context.Context, name string) (locker, error) {
	s, err := concurrency.NewSession(t.c, concurrency.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	t.rivals = append(t.rivals, s)
	return &theirLock{concurrency.NewMutex(s, name)}, nil
}

func (t *theirs) locker(name string) locker { return &theirLock{concurrency.NewMutex(t.s, name)} }
func (t *theirs) elector(name string) elector {
	return &theirTerm{concurrency.NewElection(t.s, name)}
}
func (t *theirs) queue(name string) fifo { return &theirQueue{recipe.NewQueue(t.c, name)} }

type theirLock struct{ m *concurrency.Mutex }

func (l *theirLock) lock(ctx context.Context) error   { return l.m.Lock(ctx) }
func (l *theirLock) unlock(ctx context.Context) error { return l.m.Unlock(ctx) }

type theirTerm struct{ e *concurrency.Election }

func (t *theirTerm) campaign(ctx context.Context) error { return t.e.Campaign(ctx, "me") }
func (t *theirTerm) resign(ctx context.Context) error   { return t.e.Resign(ctx) }

// theirQueue takes no context, and loses an item whose consumer dies: it is compared all the same, as there is no other.
type theirQueue struct{ q *recipe.Queue }

func (q *theirQueue) put(_ context.Context, value string) error { return q.q.Enqueue(value) }

func (q *theirQueue) take(context.Context) error {
	_, err := q.q.Dequeue()
	return err
}
