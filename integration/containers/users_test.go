package containers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/holdfasttest/containers"
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

// TestNightlyWithTwoNodes is the test in docs/howto/testcontainers.md, except that it may be
// skipped.
func TestNightlyWithTwoNodes(t *testing.T) {
	needEngine(t)
	etcd := containers.Start(t, &containers.Options{Nodes: 3})
	etcd.Node(0).Pause() // a majority is left
	s := etcd.Session(nil)
	err := nightly(t.Context(), s, func(ctx context.Context) error {
		if err := etcd.Client().Revoke(ctx, s.Lease()); err != nil {
			return err
		}
		<-ctx.Done() // the lock is lost
		return context.Cause(ctx)
	})
	if !errors.Is(err, session.ErrLost) {
		t.Error(err)
	}
}
