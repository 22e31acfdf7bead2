package block

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// What the left side of a table takes for granted.
var (
	ctx      context.Context
	endpoint string
	c        *clientv3.Client
	s        *concurrency.Session
	m        *concurrency.Mutex
	e        *concurrency.Election
	id       clientv3.LeaseID
	Config   clientv3.Config
	cmps     []clientv3.Cmp
	ops      []clientv3.Op
	resp     clientv3.WatchResponse
	err      error
	rev      int64
	key      string
	name     string
	value    string

	seconds int64
)
