package main

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// barePuts is not a library of locks: its lock and its unlock each put a key over gRPC. Its cost is
// the least that two writes cost over gRPC, with one request each.
type barePuts struct{}

func (barePuts) id() string { return "puts" }

func (barePuts) connect(_ context.Context, etcd *etcdproc.Cluster, l link) (client, error) {
	c, err := dialV3(etcd, l)
	return &putter{c: c}, err
}

type putter struct {
	client // nil, because a case of bare puts calls nothing else

	c *clientv3.Client
}

func (p *putter) close() error              { return p.c.Close() }
func (p *putter) locker(name string) locker { return &bare{p.c, name} }

type bare struct {
	c   *clientv3.Client
	key string
}

func (b *bare) lock(ctx context.Context) error {
	_, err := b.c.Put(ctx, b.key, "")
	return err
}

func (b *bare) unlock(ctx context.Context) error { return b.lock(ctx) }
