package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestAPortOfTheOtherSchemeIsRecognized: etcd closes a connection without an answer if it receives
// plain HTTP on a port for TLS, or TLS on a port for plain HTTP, and answers in HTTP/2 where it has
// no gateway. Each call returns an error at once that names the cause, and no write is in doubt.
func TestAPortOfTheOtherSchemeIsRecognized(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		for name, change := range map[string]func(url string) string{
			"http to https": func(url string) string {
				return strings.Replace(url, "https:", "http:", 1)
			},
			"https to http": func(url string) string {
				return strings.Replace(url, "http:", "https:", 1)
			},
			"http to gRPC": func(url string) string { return url },
		} {
			t.Run(name, func(t *testing.T) {
				o := recipetest.Server(version)
				o.TLS, o.HTTPPort = name == "http to https", name == "http to gRPC"
				c := etcdtest.Start(t, o)
				client := newClient(t, gateway.Config{
					Endpoints: []string{change(c.Member(0).GRPCEndpoint())},
				})
				ctx := within(t, time.Minute)
				says := "speaks " + name[strings.LastIndex(name, " ")+1:]
				for op, call := range map[string]func(context.Context) error{
					"get": func(ctx context.Context) error {
						_, err := client.Get(ctx, "k")
						return err
					},
					"put": func(ctx context.Context) error {
						_, err := client.Put(ctx, "k", nil)
						return err
					},
					"watch": func(ctx context.Context) error {
						_, err := client.Watch(ctx, "k")
						return err
					},
					"health": func(ctx context.Context) error {
						_, err := client.Member("").Health(ctx)
						return err
					},
				} {
					if o.HTTPPort && op == "health" {
						continue // it tries once, and the server may answer first
					}
					began := time.Now()
					err := call(ctx)
					if err == nil || !strings.Contains(err.Error(), says) {
						t.Errorf("%s: %v, want an error that says %q", op, err, says)
					}
					if errors.Is(err, gateway.ErrUncertain) ||
						errors.Is(err, gateway.ErrUnavailable) {
						t.Errorf("%s: %v is taken for an outage", op, err)
					}
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("%s took %v", op, took)
					}
				}
			})
		}
	})
}
