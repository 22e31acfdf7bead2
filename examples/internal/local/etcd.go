// Package local is what the examples share and what no program of your own needs: an etcd in the same process.
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

// Etcd runs a single member on loopback, with its data in a temporary folder that stop removes. It serves the
// HTTP/JSON gateway, all that holdfast needs, on its client URL, as etcd does by default.
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
	cfg.LogLevel = "fatal"                                                       // it complains when its clients are killed,
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) // and so does its gRPC
	cfg.UnsafeNoFsync = true                                                     // the data is gone in a moment anyway
	client, err := freeURL(ctx)
	if err != nil {
		return "", nil, err
	}
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"} // any port: there are no other members
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

// freeURL finds a free port. Its number must be known beforehand: etcd's gateway dials etcd's own client URL.
func freeURL(ctx context.Context) (url.URL, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, err
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}
