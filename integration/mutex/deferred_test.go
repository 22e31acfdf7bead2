package mutex_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

type killedArgs struct {
	Endpoints []string
	Name      string
	TTL       time.Duration
}

// killedAfterUnlock locks, unlocks, and is killed before the deletion was answered.
var killedAfterUnlock = reexec.Register("killed after a deferred unlock", func(a killedArgs) int {
	ctx := context.Background()
	c, err := gateway.New(gateway.Config{Endpoints: a.Endpoints})
	if err == nil {
		err = lockAndDie(ctx, c, a)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
})

func lockAndDie(ctx context.Context, c *gateway.Client, a killedArgs) error {
	s, err := session.New(ctx, c, &session.Options{TTL: a.TTL})
	if err != nil {
		return err
	}
	l, err := mutex.New(s, a.Name, &mutex.Options{DeferUnlock: true}).Lock(ctx)
	if err != nil {
		return err
	}
	if err := l.Unlock(ctx); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// TestAProcessKilledAfterADeferredUnlock keeps the lock for its time to live at most, and no other
// process is kept out for longer.
func TestAProcessKilledAfterADeferredUnlock(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	name := fresh(t)
	s := plain(t)
	args := killedArgs{cluster.Endpoints(), name, ttl}
	err := killedAfterUnlock.Command(within(t, time.Minute), args).Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Exited() {
		t.Fatalf("the child ended with %v", err)
	}
	began := time.Now()
	left := len(members(t, newClient(t, gateway.Config{}), name))
	unlock(t, lock(t, s, name))
	figure(t, "%d keys were left, and the lock was granted after %v", left, time.Since(began))
	if waited := time.Since(began); waited > 2*ttl {
		t.Errorf("granted after %v", waited)
	}
}

// TestCloseDirectlyAfterADeferredUnlock leaves no key.
func TestCloseDirectlyAfterADeferredUnlock(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	c := newClient(t, gateway.Config{})
	for range 20 {
		s := newSession(t, c, nil)
		l, err := mutex.New(s, name, &mutex.Options{DeferUnlock: true}).Lock(within(t, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		unlock(t, l)
		if err := s.Close(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		if left := members(t, c, name); len(left) > 0 {
			t.Fatalf("left: %v", left)
		}
	}
}
