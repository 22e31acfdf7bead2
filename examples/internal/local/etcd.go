// Package local runs the examples on an etcd in the same process.
//
// # Usage
//
// Each example calls Main. Your own programs do not need this package.
//
// # Concurrency
//
// The functions are safe for concurrent use, except Main, which calls os.Exit at an error.
package local

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc/grpclog"
)

// Etcd starts a single member on loopback, with its data in a temporary folder. It serves the
// HTTP/JSON gateway on its client URL, which is etcd's default. The caller calls stop, which ends
// the member and removes the data. Etcd returns an error if the member cannot be started or is not
// ready before ctx ends.
func Etcd(ctx context.Context) (endpoint string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "holdfast-example-")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	cfg := embed.NewConfig()
	cfg.Dir = dir
	// etcd and gRPC log errors when their clients are killed.
	cfg.LogLevel = "fatal"
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	// The data is temporary.
	cfg.UnsafeNoFsync = true
	client, err := freeURL(ctx)
	if err != nil {
		return "", nil, err
	}
	// Any port, because there are no other members.
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)

	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return "", nil, err
	}
	stop = func() error {
		e.Close()
		return os.RemoveAll(dir)
	}
	select {
	case <-e.Server.ReadyNotify():
		return client.String(), stop, nil
	case err = <-e.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	e.Close()
	return "", nil, err
}

// freeURL returns a URL with a free port. The port must be known before etcd starts, because its
// gateway dials the client URL.
func freeURL(ctx context.Context) (url.URL, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, err
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}
