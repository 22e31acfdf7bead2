package mutex_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/mutex"
)

// eachName runs a test with a name, and with a name that ends in a slash, as in the documentation
// of clientv3.
func eachName(t *testing.T, test func(t *testing.T, name string)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { test(t, fresh(t)) })
	t.Run("slash", func(t *testing.T) { test(t, fresh(t)+"/") })
}

// TestClientV3AndThisLibraryWaitForEachOther: the mutexes of clientv3 and of this library exclude
// each other and wait for each other.
func TestClientV3AndThisLibraryWaitForEachOther(t *testing.T) { eachName(t, withClientV3) }

func withClientV3(t *testing.T, name string) {
	t.Helper()
	ctx := within(t, time.Minute)
	s := plain(t)
	theirs, err := concurrency.NewSession(cluster.ClientV3(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := theirs.Close(); err != nil {
			t.Error(err)
		}
	}()
	their := concurrency.NewMutex(theirs, name)

	held := lock(t, s, name)
	if err := their.TryLock(ctx); !errors.Is(err, concurrency.ErrLocked) {
		t.Errorf("clientv3's TryLock while we hold: %v", err)
	}
	unlock(t, held)
	if err := their.TryLock(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = mutex.New(s, name, nil).TryLock(ctx)
	var who *mutex.LockedError
	if !errors.As(err, &who) || who.Key != their.Key() ||
		who.Lease != gateway.LeaseID(theirs.Lease()) {
		t.Errorf("our TryLock while clientv3 holds: %v", err)
	}
	if err := their.Unlock(ctx); err != nil {
		t.Fatal(err)
	}

	var inside, ours, others int
	enter := func(n *int) {
		if inside++; inside != 1 {
			t.Errorf("%d hold the lock", inside)
		}
		*n++
		inside--
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 20 {
				l := lock(t, s, name)
				enter(&ours)
				unlock(t, l)
			}
		})
		all.Go(func() {
			session, err := concurrency.NewSession(theirs.Client())
			if err != nil {
				t.Error(err)
				return
			}
			m := concurrency.NewMutex(session, name)
			for range 20 {
				if err := m.Lock(ctx); err != nil {
					t.Error(err)
					return
				}
				enter(&others)
				if err := m.Unlock(ctx); err != nil {
					t.Error(err)
				}
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if ours != 60 || others != 60 {
		t.Errorf("%d grants of ours, %d of clientv3's", ours, others)
	}
}

// TestEtcdctlAndThisLibraryWaitForEachOther: etcdctl lock and the mutex exclude each other.
func TestEtcdctlAndThisLibraryWaitForEachOther(t *testing.T) { eachName(t, withEtcdctl) }

func withEtcdctl(t *testing.T, name string) {
	t.Helper()
	bin, err := etcdproc.Ctl()
	if err != nil {
		t.Fatal(err)
	}
	s := plain(t)
	run := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), bin,
			append([]string{"--endpoints", cluster.Endpoints()[0], "lock", name}, args...)...)
	}

	held := lock(t, s, name)
	ran := make(chan string, 1)
	go func() {
		out, err := run("env").CombinedOutput()
		if err != nil {
			out = fmt.Appendf(out, "%v", err)
		}
		ran <- string(out)
	}()
	eventually(t, "join", func() bool { return len(members(t, s.Client(), name)) == 2 })
	select {
	case out := <-ran:
		t.Fatalf("etcdctl got a lock that we hold: %s", out)
	default:
	}
	unlock(t, held)
	if out := <-ran; !strings.Contains(out, "ETCD_LOCK_KEY="+name+"/") {
		t.Errorf("etcdctl, once we had unlocked: %s", out)
	}

	ctl := run() // holds the lock until SIGINT
	out, err := ctl.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ctl.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil ||
		!strings.HasPrefix(line, name+"/") {
		t.Fatal(line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := mutex.New(s, name, nil).TryLock(ctx); !errors.Is(err, mutex.ErrLocked) {
		t.Errorf("TryLock while etcdctl holds: %v", err)
	}
	if _, err := mutex.New(s, name, nil).Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock while etcdctl holds: %v", err)
	}
	if err := ctl.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	unlock(t, lock(t, s, name))
	_ = ctl.Wait() // etcdctl's status does not matter
}
