package semaphore_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/semaphore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }

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
