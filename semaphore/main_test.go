package semaphore_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }

// open returns a session with a client of its own. The session is closed at the end of the test.
func open(t *testing.T, etcd *fakeetcd.Server) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), &session.Options{Name: "me"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // in some tests the server no longer answers
	})
	synctest.Wait()
	return s
}

func acquire(t *testing.T, m *semaphore.Semaphore, n int) *semaphore.Permit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := m.Acquire(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func release(t *testing.T, p *semaphore.Permit) {
	t.Helper()
	if err := p.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
