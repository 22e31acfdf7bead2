package containers_test

import (
	"context"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/etcd"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// nightly is the code under test. In your program it is your own.
func nightly(ctx context.Context, s *session.Session, work func(context.Context) error) error {
	return mutex.New(s, "jobs/nightly", nil).Do(ctx,
		func(ctx context.Context, _ *mutex.Lock) error {
			return work(ctx)
		})
}

// TestNightly is the test in docs/howto/testcontainers.md, except that image(t) replaces the constant
// name of the image.
func TestNightly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := etcd.Run(ctx, image(t))
	testcontainers.CleanupContainer(t, server)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := server.ClientEndpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	client, err := gateway.New(gateway.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := session.New(ctx, client, nil) // waits until etcd answers
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(ctx)
	if err := nightly(ctx, s, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}
