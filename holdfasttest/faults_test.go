package holdfasttest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfasttest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test with a server in a bubble.
func bubble(t *testing.T, test func(t *testing.T, etcd *holdfasttest.Server)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		test(t, holdfasttest.New(t))
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestADroppedAnswerIsUncertainAndApplied(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		c := etcd.Client()
		etcd.DropAnswer(holdfasttest.Match{Call: holdfasttest.Put, Text: "b", N: 2})
		for _, key := range []string{"a", "b"} {
			if _, err := c.Put(t.Context(), key, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Put(t.Context(), "b", nil); !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Put = %v", err)
		}
		if _, err := c.Put(t.Context(), "b", nil); err != nil {
			t.Errorf("Put = %v", err)
		}
		if kv, _ := etcd.Get("b"); kv.Version != 3 {
			t.Errorf("%d puts were applied", kv.Version)
		}
	})
}

func TestARepeatedRequestArrivesAgain(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		c := etcd.Client()
		etcd.Repeat(holdfasttest.Match{Text: "a", N: 1}, time.Minute)
		if _, err := c.Put(t.Context(), "a", []byte("old")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(t.Context(), "a", []byte("new")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if kv, _ := etcd.Get("a"); string(kv.Value) != "old" {
			t.Errorf("the value is %q", kv.Value)
		}
	})
}

func TestADelayedRequestIsAppliedLate(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		etcd.Delay(holdfasttest.Match{Text: "a", N: 1}, time.Minute)
		_, err := etcd.Client().Put(within(t, time.Second), "a", nil)
		if _, ok := etcd.Get("a"); !errors.Is(err, gateway.ErrUncertain) || ok {
			t.Errorf("Put = %v, applied: %v", err, ok)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, ok := etcd.Get("a"); !ok {
			t.Error("it was not applied")
		}
	})
}

func TestInABlackHoleTheSessionEndsBeforeItsLease(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		s := etcd.Session(&session.Options{TTL: 15 * time.Second})
		lock, err := mutex.New(s, "jobs", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		etcd.BlackHole(holdfasttest.Match{})
		<-lock.Context().Done()
		if _, ok := etcd.Get(lock.Key()); !ok || !errors.Is(s.Err(), session.ErrExpired) {
			t.Errorf("the session is %v, the key exists: %v", s.Err(), ok)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if keys := etcd.Keys("jobs/"); len(keys) > 0 {
			t.Errorf("%q are left", keys)
		}
		etcd.Heal()
		etcd.Session(nil)
	})
}

func TestABlackHoleOfWatchesLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		c := etcd.Client()
		w, err := c.Watch(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		etcd.BlackHole(holdfasttest.Match{Call: holdfasttest.Watch})
		if _, err := c.Put(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, etcd.Heal)
		began := time.Now()
		for _, err := range w.Events() {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("the event arrived after %v", took)
		}
	})
}

func TestHealEndsFaults(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		etcd.DropAnswer(holdfasttest.Match{})
		etcd.Heal()
		if _, err := etcd.Client().Put(t.Context(), "a", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestAFaultThatNoRequestMetFailsTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	synctest.Test(t, func(t *testing.T) {
		etcd := holdfasttest.New(r)
		etcd.DropAnswer(holdfasttest.Match{Text: "a", N: 1})
		r.end()
	})
	if r.errors != 1 {
		t.Errorf("%d errors", r.errors)
	}
}

// recorder is a test that counts its errors.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   int
}

func (*recorder) Helper()                 {}
func (r *recorder) Cleanup(fn func())     { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Errorf(string, ...any) { r.errors++ }

func (r *recorder) end() {
	for _, fn := range r.cleanups {
		fn()
	}
}
