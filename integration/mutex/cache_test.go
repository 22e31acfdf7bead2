package mutex_test

import (
	"bufio"
	"cmp"
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestACachedLockIsPassedToOtherClients measures how long others wait for a lock that a session has
// cached: unused, and while 8 of its goroutines keep it busy. No two hold it at once.
// HOLDFAST_ROUNDS sets the number of times that each waits, 10 without it.
func TestACachedLockIsPassedToOtherClients(t *testing.T) {
	rounds, _ := strconv.Atoi(cmp.Or(os.Getenv("HOLDFAST_ROUNDS"), "10"))
	for _, load := range []int{0, 8} {
		for kind, waiter := range map[string]func(*testing.T, string) waiting{
			"holdfast": ourWaiter, "clientv3": theirWaiter, "etcdctl": ctlWaiter,
		} {
			t.Run(kind+" "+strconv.Itoa(load), func(t *testing.T) {
				waits := waitForCached(t, load, rounds, waiter)
				slices.Sort(waits)
				p50, p99 := waits[len(waits)/2], waits[len(waits)*99/100]
				figure(t, "%s waits for a lock cached by %d goroutines: p50 %v, p99 %v",
					kind, load, p50, p99)
				if kind == "holdfast" && p50 > 50*time.Millisecond {
					t.Errorf("half of the waits take more than %v", p50)
				}
			})
		}
	}
}

// waiting locks, calls hold, and unlocks. It returns how long it waited.
type waiting func(hold func()) time.Duration

func waitForCached(
	t *testing.T, load, rounds int, waiter func(*testing.T, string) waiting,
) (waits []time.Duration) {
	t.Helper()
	name := fresh(t)
	s := newSession(t, newClient(t, gateway.Config{}), nil)
	m := mutex.New(s, name, &mutex.Options{Cache: true})
	var inside, passed atomic.Int64
	hold := func() {
		if inside.Add(1) != 1 {
			t.Error("two hold the lock")
		}
		inside.Add(-1)
	}
	own := func() {
		l, err := m.Lock(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		hold()
		passed.Add(1)
		unlock(t, l)
	}
	var stop atomic.Bool
	var all sync.WaitGroup
	for range load {
		all.Go(func() {
			for !stop.Load() {
				own()
			}
		})
	}
	wait := waiter(t, name)
	for range rounds {
		if load == 0 {
			own()
		}
		pause(t, t.Context(), 20*time.Millisecond, "between two waits")
		before := passed.Load()
		waits = append(waits, wait(hold))
		if load > 0 { // else the waiter might find the line empty
			eventually(t, "the others hold again", func() bool { return passed.Load() > before })
		}
	}
	stop.Store(true)
	all.Wait()
	return waits
}

func ourWaiter(t *testing.T, name string) waiting {
	t.Helper()
	s := newSession(t, newClient(t, gateway.Config{}), nil)
	return func(hold func()) time.Duration {
		asked := time.Now()
		l := lock(t, s, name)
		took := time.Since(asked)
		hold()
		unlock(t, l)
		return took
	}
}

func theirWaiter(t *testing.T, name string) waiting {
	t.Helper()
	theirs, err := concurrency.NewSession(cluster.ClientV3(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	m := concurrency.NewMutex(theirs, name)
	return func(hold func()) time.Duration {
		asked := time.Now()
		if err := m.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := time.Since(asked)
		hold()
		if err := m.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		return took
	}
}

// ctlWaiter returns the time from the creation of etcdctl's key.
func ctlWaiter(t *testing.T, name string) waiting {
	t.Helper()
	bin, err := etcdproc.Ctl()
	if err != nil {
		t.Fatal(err)
	}
	joined := newClient(t, gateway.Config{})
	return func(hold func()) time.Duration {
		asked := make(chan time.Time, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w, err := joined.Watch(ctx, name+"/", gateway.Prefix())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for ev, err := range w.Events() {
				if err != nil {
					return
				}
				if !ev.Deleted && len(ev.KV.Value) == 0 { // cached locks have a value
					asked <- time.Now()
					return
				}
			}
		}()
		ctl := exec.CommandContext(ctx, bin, "--endpoints", cluster.Endpoints()[0], "lock", name)
		out, err := ctl.StdoutPipe()
		if err == nil {
			err = ctl.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, name+"/") {
			t.Fatal(line, err)
		}
		took := time.Since(<-asked)
		hold()
		if err := ctl.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = ctl.Wait() // etcdctl's status does not matter
		return took
	}
}
