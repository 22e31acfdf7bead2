package session_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// stoppable is the program that SIGTERM stops.
var stoppable = reexec.Register("stoppable", runShape)

type shaped struct{ Endpoint, Shape, Name string }

// shapes are programs as the documents show them: the context of signal.NotifyContext stops them,
// and deferred calls release their holds with that context.
var shapes = map[string]func(context.Context, *session.Session, string, func()) error{
	"Do": func(ctx context.Context, s *session.Session, name string, locked func()) error {
		return mutex.New(s, name, nil).Do(ctx, func(ctx context.Context, _ *mutex.Lock) error {
			locked()
			<-ctx.Done()
			return nil
		})
	},
	"Lock and Unlock": func(
		ctx context.Context, s *session.Session, name string, locked func(),
	) error {
		lock, err := mutex.New(s, name, nil).Lock(ctx)
		if err != nil {
			return err
		}
		defer lock.Unlock(ctx) //nolint:errcheck // as programs write it
		locked()
		<-ctx.Done()
		return nil
	},
	"Lock and Close": func(ctx context.Context, s *session.Session, name string,
		locked func(),
	) error {
		if _, err := mutex.New(s, name, nil).Lock(ctx); err != nil {
			return err
		}
		locked()
		<-ctx.Done()
		return nil
	},
}

func runShape(p shaped) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := func() error {
		client, err := gateway.New(gateway.Config{Endpoints: []string{p.Endpoint}})
		if err != nil {
			return err
		}
		defer client.Close()
		s, err := session.New(ctx, client, nil)
		if err != nil {
			return err
		}
		defer s.Close(ctx)
		locked := func() { _, _ = os.Stdout.WriteString("locked\n") }
		return shapes[p.Shape](ctx, s, p.Name, locked)
	}
	if err := run(); err != nil && !errors.Is(err, context.Canceled) {
		_, _ = os.Stdout.WriteString(err.Error() + "\n")
		return 1
	}
	return 0
}

// program is a running child.
type program struct {
	*exec.Cmd
	said *bufio.Scanner
}

func start(t *testing.T, shape, name string) program {
	t.Helper()
	cmd := stoppable.Command(t.Context(), shaped{cluster.Endpoints()[0], shape, name})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return program{cmd, bufio.NewScanner(out)}
}

// terminate sends SIGTERM and waits for the end of the program.
func (p program) terminate(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// TestATerminatedProgramReleasesItsLock: a program that receives SIGTERM releases its lock, or its
// place in the line, at once.
func TestATerminatedProgramReleasesItsLock(t *testing.T) {
	for shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			name, s := fresh(t), plain(t)
			holder := start(t, shape, name)
			if !holder.said.Scan() || holder.said.Text() != "locked" {
				t.Fatalf("the holder said %q", holder.said.Text())
			}
			waiter := start(t, shape, name)
			two := func() bool { return len(members(t, s.Client(), name)) == 2 }
			recipetest.Eventually(t, "the other program waits", two)
			waiter.terminate(t)
			if left := members(t, s.Client(), name); len(left) != 1 {
				t.Errorf("the line after the waiter's end: %v", left)
			}
			locked := make(chan time.Time, 1)
			go func() {
				lock, err := mutex.New(s, name, nil).Lock(within(t, time.Minute))
				if err != nil {
					t.Error(err)
				} else if err := lock.Unlock(within(t, time.Minute)); err != nil {
					t.Error(err)
				}
				locked <- time.Now()
			}()
			recipetest.Eventually(t, "the next waits", two)
			told := time.Now()
			holder.terminate(t)
			took := (<-locked).Sub(told)
			figure(t, "%s: the next has the lock %v after SIGTERM", shape,
				took.Round(time.Millisecond))
			if took > 500*time.Millisecond {
				t.Errorf("the next waited for %v", took)
			}
		})
	}
}

// TestAReleaseWorksWithAnEndedContext: every call that releases a hold does so although its context
// has ended.
func TestAReleaseWorksWithAnEndedContext(t *testing.T) {
	s, name, ctx := plain(t), fresh(t), within(t, time.Minute)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	sem := semaphore.New(s, name+"-semaphore", 2, nil)
	q := queue.New(s, name+"-queue", nil)
	message := func(t *testing.T) *queue.Message {
		t.Helper()
		if _, err := q.Enqueue(ctx, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		m, err := q.Receive(ctx)
		return must(m, err)(t)
	}
	for _, tt := range []struct {
		name string
		take func(t *testing.T) func(context.Context) error
	}{
		{"Unlock", func(t *testing.T) func(context.Context) error {
			return must(mutex.New(s, name+"-mutex", nil).Lock(ctx))(t).Unlock
		}},
		{"Unlock of a reader", func(t *testing.T) func(context.Context) error {
			return must(mutex.NewRWMutex(s, name+"-rw", nil).RLock(ctx))(t).Unlock
		}},
		{"Unlock with a delay", func(t *testing.T) func(context.Context) error {
			opts := &mutex.Options{LockDelay: time.Second}
			return must(mutex.New(s, name+"-delay", opts).Lock(ctx))(t).Unlock
		}},
		{"Unlock of several", func(t *testing.T) func(context.Context) error {
			return must(mutex.LockAll(ctx, s, name+"-1", name+"-2"))(t).Unlock
		}},
		{"Resign", func(t *testing.T) func(context.Context) error {
			return must(election.New(s, name+"-election", nil).Campaign(ctx, "v"))(t).Resign
		}},
		{"Permit", func(t *testing.T) func(context.Context) error {
			return must(sem.Acquire(ctx, 1))(t).Release
		}},
		{"Raised", func(t *testing.T) func(context.Context) error {
			return must(barrier.New(s, name+"-barrier").Hold(ctx))(t).Release
		}},
		{"Lower", func(t *testing.T) func(context.Context) error {
			b := barrier.New(s, name+"-raised")
			if err := b.Raise(ctx); err != nil {
				t.Fatal(err)
			}
			return b.Lower
		}},
		{"Ack", func(t *testing.T) func(context.Context) error { return message(t).Ack }},
		{"AckWith", func(t *testing.T) func(context.Context) error {
			m := message(t)
			return func(ctx context.Context) error {
				return m.AckWith(ctx, gateway.OpPut(name+"-done", nil))
			}
		}},
		{"Reject", func(t *testing.T) func(context.Context) error {
			m := message(t)
			return func(ctx context.Context) error { return m.Reject(ctx, "bad") }
		}},
		{"Nack", func(t *testing.T) func(context.Context) error {
			m := message(t)
			return func(ctx context.Context) error { return m.Nack(ctx, 0) }
		}},
		{"Close", func(t *testing.T) func(context.Context) error { return plain(t).Close }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			back := tt.take(t)
			began := time.Now()
			if err := back(ended); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("Leave", func(t *testing.T) { // its key is deleted, and it does not wait for the others
		entry := must(barrier.NewDouble(s, name+"-double", 1).Enter(ctx))(t)
		err := entry.Leave(ended)
		if err != nil && !errors.Is(err, context.Canceled) || errors.Is(err, gateway.ErrUncertain) {
			t.Error(err)
		}
	})
	left, err := s.Client().Get(ctx, name, gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range left.KVs {
		if kv.Lease == s.Lease() {
			t.Errorf("left: %s", kv.Key)
		}
	}
}

func must[V any](v V, err error) func(testing.TB) V {
	return func(tb testing.TB) V {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}
