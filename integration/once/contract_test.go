package once_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		a := newSession(t, c, &session.Options{Name: "a"})
		b := newSession(t, newClient(t, cfg), &session.Options{Name: "b"})
		type contract func(*testing.T, *gateway.Client, *session.Session, *session.Session)
		for name, test := range map[string]contract{
			"One run":      oneRun,
			"Complete":     completed,
			"Rejected":     rejected,
			"Replaced":     replaced,
			"Removed":      removed,
			"Max attempts": maxAttempts,
			"Retention":    retention,
			"Lease gone":   leaseGone,
			"Large result": largeResult,
		} {
			t.Run(name, func(t *testing.T) { test(t, c, a, b) })
		}
	})
}

// oneRun: all callers have the result of one run.
func oneRun(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	release := make(chan struct{})
	var all []<-chan outcome
	for _, s := range []*session.Session{a, b, a, b} {
		o := once.New(s, name, nil)
		for range 3 {
			all = append(all, start(t, o, func(_ context.Context, run *once.Run) ([]byte, error) {
				<-release
				return []byte(run.Key()), nil
			}))
		}
	}
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 4 })
	_, err := once.New(b, name, nil).TryDo(within(t, time.Minute), mustNotRun(t))
	if !errors.Is(err, once.ErrRunning) {
		t.Errorf("TryDo = %v", err)
	}
	close(release)
	ran := 0
	var key string
	for _, done := range all {
		got := <-done
		if got.Ran {
			ran++
		}
		if key == "" {
			key = string(got.Value)
		}
		want(t, got, key, 1)
	}
	if ran != 1 {
		t.Errorf("%d have run", ran)
	}
	o := once.New(b, name, nil)
	want(t, <-start(t, o, mustNotRun(t)), key, 1)
	res, err := o.TryDo(within(t, time.Minute), mustNotRun(t))
	want(t, outcome{res, err}, key, 1)
	if err := o.Forget(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	want(t, <-start(t, o, returns("again")), "again", 1)
	eventually(t, "leave", func() bool { return len(members(t, c, name)) == 0 })
}

// completed: the operations of Complete and the result have one revision.
func completed(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	done := start(t, once.New(a, name, nil), func(ctx context.Context, run *once.Run) ([]byte, error) {
		ops := []gateway.Op{gateway.OpPut(name+"-own", nil)}
		for len(ops) < once.MaxOps {
			ops = append(ops, gateway.OpGet("x"))
		}
		return nil, run.Complete(ctx, []byte("result"), ops...)
	})
	want(t, <-done, "result", 1)
	resp, err := c.Txn(within(t, time.Minute), gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(name + "-own"), gateway.OpGet(name + "//result"),
		gateway.OpGet(name+"//", gateway.Prefix()),
	}})
	if err != nil {
		t.Fatal(err)
	}
	own, result, all := resp.Responses[0].Get.KVs, resp.Responses[1].Get.KVs, resp.Responses[2].Get.KVs
	if len(own) != 1 || len(result) != 1 || own[0].ModRevision != result[0].ModRevision ||
		len(all) != 1 {
		t.Errorf("%v, %v, %v", own, result, all)
	}
	want(t, <-start(t, once.New(b, name, nil), mustNotRun(t)), "result", 1)
}

// rejected: without its operations there is no result.
func rejected(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	done := start(t, once.New(a, name, nil), func(ctx context.Context, run *once.Run) ([]byte, error) {
		err := run.Complete(ctx, []byte("first"), gateway.OpPut("x", nil), gateway.OpPut("x", nil))
		if !errors.Is(err, gateway.ErrInvalid) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Complete = %v", err)
		}
		return []byte("first"), nil
	})
	if got := <-done; !errors.Is(got.err, gateway.ErrInvalid) {
		t.Errorf("Do = %v", got.err)
	}
	want(t, <-start(t, once.New(b, name, nil), returns("second")), "second", 2)
}

// replaced: a run whose lease is revoked is replaced, and commits nothing.
func replaced(t *testing.T, c *gateway.Client, _, b *session.Session) {
	name := fresh(t)
	s := newSession(t, c, nil)
	runs := make(chan string, 1)
	lost := start(t, once.New(s, name, nil), func(ctx context.Context, run *once.Run) ([]byte, error) {
		runs <- run.Key()
		<-ctx.Done()
		err := run.Complete(context.WithoutCancel(ctx), []byte("first"))
		if !errors.Is(err, session.ErrNotHeld) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Complete = %v", err)
		}
		return []byte("first"), nil
	})
	<-runs
	next := start(t, once.New(b, name, nil), returns("second"))
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
	if err := c.Revoke(within(t, time.Minute), s.Lease()); err != nil {
		t.Fatal(err)
	}
	want(t, <-next, "second", 2)
	if got := <-lost; !errors.Is(got.err, session.ErrLost) {
		t.Errorf("Do = %v", got.err)
	}
}

// removed: the keys of a run and of a caller that waits are deleted.
func removed(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	waiting := make(chan struct{})
	run := start(t, once.New(a, name, nil), func(ctx context.Context, _ *once.Run) ([]byte, error) {
		close(waiting)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	<-waiting
	next := start(t, once.New(b, name, nil), mustNotRun(t))
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 2 })
	if _, err := c.Delete(within(t, time.Minute), name+"/", gateway.Prefix()); err != nil {
		t.Fatal(err)
	}
	for _, done := range []<-chan outcome{run, next} {
		if got := <-done; !errors.Is(got.err, session.ErrKeyDeleted) {
			t.Errorf("Do = %v", got.err)
		}
	}
	want(t, <-start(t, once.New(a, name, nil), returns("result")), "result", 1)
}

// maxAttempts: the failure of the last run is the result.
func maxAttempts(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	own := errors.New("own error")
	opts := &once.Options{
		MaxAttempts: 2, Backoff: func(int) time.Duration { return 300 * time.Millisecond },
	}
	fails := func(context.Context, *once.Run) ([]byte, error) { return nil, own }
	if got := <-start(t, once.New(a, name, opts), fails); !errors.Is(got.err, own) ||
		errors.Is(got.err, once.ErrFailed) {
		t.Errorf("Do = %v", got.err)
	}
	begun := time.Now()
	if got := <-start(t, once.New(b, name, opts), fails); !errors.Is(got.err, once.ErrFailed) ||
		time.Since(begun) < 300*time.Millisecond {
		t.Errorf("Do = %v after %v", got.err, time.Since(begun))
	}
	got := <-start(t, once.New(a, name, opts), mustNotRun(t))
	f, ok := errors.AsType[*once.FailedError](got.err)
	if !ok || f.Text != own.Error() || f.Attempts != 2 {
		t.Errorf("Do = %v", got.err)
	}
}

func retention(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	opts := &once.Options{Retention: 2 * time.Second}
	want(t, <-start(t, once.New(a, name, opts), returns("first")), "first", 1)
	want(t, <-start(t, once.New(b, name, opts), mustNotRun(t)), "first", 1)
	eventually(t, "expiry", func() bool {
		resp, err := c.Get(within(t, time.Minute), name+"//result")
		return err == nil && len(resp.KVs) == 0
	})
	want(t, <-start(t, once.New(b, name, opts), returns("second")), "second", 1)
}

// leaseGone: a commit whose operations name a lease that is gone is rejected, and so is a run with
// it in the background: another caller replaces it.
func leaseGone(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	done := start(t, once.New(a, name, nil), func(ctx context.Context, run *once.Run) ([]byte, error) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		err := run.Complete(ended, nil, gateway.OpPut(name+"-own", nil, gateway.WithLease(0x1234)))
		if err == nil {
			t.Error("Complete = nil")
		}
		return nil, err
	})
	if got := <-done; got.err == nil {
		t.Error("Do = nil")
	}
	want(t, <-start(t, once.New(b, name, nil), returns("second")), "second", 2)
}

// largeResult: a result of the largest size reaches callers that wait, and later ones.
func largeResult(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	value := strings.Repeat("x", once.MaxResult)
	release := make(chan struct{})
	run := start(t, once.New(a, name, nil), func(context.Context, *once.Run) ([]byte, error) {
		<-release
		return []byte(value), nil
	})
	eventually(t, "run", func() bool { return len(members(t, c, name)) == 1 })
	next := start(t, once.New(b, name, nil), mustNotRun(t))
	third := start(t, once.New(b, name, nil), mustNotRun(t))
	eventually(t, "join", func() bool { return len(members(t, c, name)) == 3 })
	close(release)
	want(t, <-run, value, 1)
	want(t, <-next, value, 1)
	want(t, <-third, value, 1)
	want(t, <-start(t, once.New(b, name, nil), mustNotRun(t)), value, 1)
}
