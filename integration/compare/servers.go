package main

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// server is the kind of cluster that a case runs on. No cluster skips fsync.
type server int

const (
	plain  server = iota // one member
	secure               // one member with TLS
	three                // three members
	scale                // one member, for cases that leave much data behind
)

// servers runs one cluster at a time, so that none uses resources of another.
type servers struct {
	ctx     context.Context
	kind    server
	cluster *etcdproc.Cluster
}

func (s *servers) get(kind server) (*etcdproc.Cluster, error) {
	if s.cluster != nil && s.kind == kind {
		return s.cluster, nil
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	options := &etcdproc.Options{Version: etcdproc.Versions()[0], TLS: kind == secure, Members: 1}
	if kind == three {
		options.Members = 3
	}
	c, err := etcdproc.Start(s.ctx, options)
	if err != nil {
		return nil, err
	}
	s.kind, s.cluster = kind, c
	return c, nil
}

func (s *servers) close() error {
	c := s.cluster
	if s.cluster = nil; c == nil {
		return nil
	}
	return c.Close()
}

// preface writes the first lines of the output: the versions, the machine, the number of rounds and
// the columns.
func preface(ctx context.Context, to io.Writer, etcd *etcdproc.Cluster, p plan) error {
	c, err := etcd.NewClientV3()
	if err != nil {
		return err
	}
	defer c.Close()
	status, err := c.Status(ctx, c.Endpoints()[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, "# etcd %s, fsync on; %s, %s, %d cores; %d rounds\n%s\n%s\n",
		status.Version, runtime.Version(), runtime.GOOS, runtime.NumCPU(), p.rounds, ratioHead, pointHead)
	return err
}
