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

// findEtcd gives the endpoints in ETCD_ENDPOINTS or, without it, those of an etcd inside this process. where is for people.
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
