// Package once_test tests single runs on real etcd.
package once_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/once"
)

// cluster is one member that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = cluster.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	newSession = recipetest.NewSession
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
	pause      = recipetest.Pause
	members    = recipetest.Members
)

func TestMain(m *testing.M) { cluster.Main(m) }

type function = func(context.Context, *once.Run) ([]byte, error)

func returns(value string) function {
	return func(context.Context, *once.Run) ([]byte, error) { return []byte(value), nil }
}

func mustNotRun(t *testing.T) function {
	t.Helper()
	return func(context.Context, *once.Run) ([]byte, error) {
		t.Error("the function has run")
		return nil, nil
	}
}

type outcome struct {
	once.Result
	err error
}

// start calls Do in the background.
func start(t *testing.T, o *once.Once, fn function) <-chan outcome {
	t.Helper()
	ctx := within(t, time.Minute)
	done := make(chan outcome, 1)
	go func() {
		res, err := o.Do(ctx, fn)
		done <- outcome{res, err}
	}()
	return done
}

func want(t *testing.T, got outcome, value string, attempt int) {
	t.Helper()
	if got.err != nil || string(got.Value) != value || got.Attempt != attempt || got.Fence == 0 {
		t.Errorf("%.40q, attempt %d, fence %d, %v; want %.40q, attempt %d",
			got.Value, got.Attempt, got.Fence, got.err, value, attempt)
	}
}
