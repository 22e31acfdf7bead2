package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
)

// findEtcd returns the endpoints in ETCD_ENDPOINTS or, if it is empty, the endpoint of an etcd
// inside this process. where is a text to print.
func findEtcd(ctx context.Context) (endpoints []string, where string, stop func() error, _ error) {
	if endpoints := splitEndpoints(os.Getenv(endpointsEnv)); len(endpoints) > 0 {
		return endpoints, "the one in " + endpointsEnv, func() error { return nil }, nil
	}
	endpoint, stop, err := local.Etcd(ctx)
	if err != nil {
		return nil, "", nil, fmt.Errorf("start etcd: %w", err)
	}
	return []string{endpoint}, "embedded", stop, nil
}

// cleanUp deletes the number. It also revokes the leases, and with them the keys, of workers that
// were killed.
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

// ping returns an error if no etcd answers, because the workers would wait for it.
func ping(ctx context.Context, client *gateway.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := client.Get(ctx, "holdfast-quickstart/"); err != nil {
		return fmt.Errorf("no etcd there: %w", err)
	}
	return nil
}

func splitEndpoints(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
