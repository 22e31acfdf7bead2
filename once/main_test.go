package once_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/once"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }

// name is the name of the function in all tests.
const name = "job"

type function = func(context.Context, *once.Run) ([]byte, error)

// returns is a function with a result.
func returns(value string) function {
	return func(context.Context, *once.Run) ([]byte, error) { return []byte(value), nil }
}

// fails is a function with an error.
func fails(err error) function {
	return func(context.Context, *once.Run) ([]byte, error) { return nil, err }
}

// mustNotRun is a function that must not run.
func mustNotRun(t *testing.T) function {
	t.Helper()
	return func(context.Context, *once.Run) ([]byte, error) {
		t.Error("the function has run")
		return nil, nil
	}
}

// outcome is the result and the error of a call.
type outcome struct {
	once.Result
	err error
}

// start calls Do in the background.
func start(ctx context.Context, o *once.Once, fn function) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		res, err := o.Do(ctx, fn)
		done <- outcome{res, err}
	}()
	return done
}

// want checks a result without an error.
func want(t *testing.T, got outcome, value string, attempt int) {
	t.Helper()
	if got.err != nil || string(got.Value) != value || got.Attempt != attempt || got.Fence == 0 {
		t.Errorf("%q, attempt %d, fence %d, %v; want %q, attempt %d",
			got.Value, got.Attempt, got.Fence, got.err, value, attempt)
	}
}

// wantDo checks the result of a Do.
func wantDo(t *testing.T, o *once.Once, fn function, value string, attempt int) {
	t.Helper()
	res, err := o.Do(bubble.Within(t, 30*time.Minute), fn)
	want(t, outcome{res, err}, value, attempt)
}

// wantKeys checks that only the result is left.
func wantKeys(t *testing.T, etcd *fakeetcd.Server, keys ...string) {
	t.Helper()
	synctest.Wait()
	got := etcd.Keys(name + "/")
	if len(got) != len(keys) {
		t.Errorf("keys %q, want %q", got, keys)
		return
	}
	for i := range keys {
		if got[i] != keys[i] {
			t.Errorf("keys %q, want %q", got, keys)
		}
	}
}
