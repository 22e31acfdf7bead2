// Package containers_test runs holdfast against etcd in containers, started with testcontainers-go.
package containers_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
)

const (
	// publicImage is the image for an empty ETCD_IMAGE.
	publicImage = "gcr.io/etcd-development/etcd:v3.6.16"
	// mustEnv makes the tests fail instead of skip if no Docker engine answers.
	mustEnv = "HOLDFAST_CONTAINERS"
)

// atOnce makes Terminate kill the container, because its data is thrown away.
var atOnce = testcontainers.StopTimeout(0)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// image returns the image to test with. It skips the test if no Docker engine answers.
func image(t *testing.T) string {
	t.Helper()
	if os.Getenv(mustEnv) == "must" {
		provider, err := testcontainers.ProviderDocker.GetProvider()
		if err == nil {
			err = provider.Health(t.Context())
		}
		if err != nil {
			t.Fatalf("no Docker engine answers, but %s=must: %v", mustEnv, err)
		}
	}
	testcontainers.SkipIfProviderIsNotHealthy(t)
	if img := os.Getenv("ETCD_IMAGE"); img != "" {
		return img
	}
	return publicImage
}

// healthy waits until etcd answers at all endpoints, because the module for etcd does not wait for
// that.
func healthy(t *testing.T, endpoints ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, url := range endpoints {
		c := client(t, url)
		if _, err := c.Get(ctx, "health"); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
	}
}

func client(t *testing.T, endpoints ...string) *gateway.Client {
	t.Helper()
	c, err := gateway.New(gateway.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// clean calls end at the end of the test. The context is not the test's, because that has ended by
// then.
func clean(t *testing.T, end func(context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
}
