package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc/grpclog"

	"github.com/holdfast-go/holdfast/gateway"
)

// findEtcd gives the endpoints in ETCD_ENDPOINTS or, without it, those of an etcd inside this process. where is for people.
func findEtcd(ctx context.Context) (endpoints []string, where string, stop func() error, _ error) {
	if endpoints := splitEndpoints(os.Getenv(endpointsEnv)); len(endpoints) > 0 {
		return endpoints, "the one in " + endpointsEnv, func() error { return nil }, nil
	}
	endpoint, stop, err := startEtcd(ctx)
	if err != nil {
		return nil, "", nil, fmt.Errorf("start etcd: %w", err)
	}
	return []string{endpoint}, "embedded", stop, nil
}

// startEtcd runs a single member on loopback, with its data in a temporary folder that stop removes. It serves the
// HTTP/JSON gateway, all that holdfast needs, on its client URL, as etcd does by default.
func startEtcd(ctx context.Context) (endpoint string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "holdfast-quickstart-")
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

// cleanUp removes the number, and what workers that did not end by themselves have left: all of it hangs on leases.
func cleanUp(ctx context.Context, client *gateway.Client, prefix string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	left, err := client.Get(ctx, prefix, gateway.Prefix())
	if err != nil {
		return err
	}
	var errs []error
	for _, kv := range left.KVs {
		if kv.Lease == 0 {
			continue
		}
		if err := client.Revoke(ctx, kv.Lease); !errors.Is(err, gateway.ErrLeaseNotFound) {
			errs = append(errs, err)
		}
	}
	_, err = client.Delete(ctx, prefix, gateway.Prefix())
	return errors.Join(append(errs, err)...)
}

// ping finds out whether there is an etcd: without it the workers would go on trying.
func ping(ctx context.Context, client *gateway.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := client.Get(ctx, "holdfast-quickstart/", gateway.Prefix(), gateway.CountOnly()); err != nil {
		return fmt.Errorf("no etcd there: %w", err)
	}
	return nil
}

func splitEndpoints(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
