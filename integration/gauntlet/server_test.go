package gauntlet_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// post sends a request to the member's gateway. It returns an error with the status if the status
// is not OK.
func post(ctx context.Context, path string, request any) (answer map[string]any, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cluster.Endpoints()[0]+path,
		bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%d %s", resp.StatusCode, bytes.TrimSpace(data))
	}
	return answer, json.Unmarshal(data, &answer)
}

// repeatedRequestPeer repeats a request that waits, and then ends the first one, like a client that
// gives up on it. A test cannot see when the repetition arrives, so one try may show nothing.
func repeatedRequestPeer(t *testing.T) (string, bool) {
	const tries = 10
	seen := ""
	for range tries {
		var shown bool
		if seen, shown = repeatRequest(t); shown {
			return seen, true
		}
	}
	return seen, false
}

func repeatRequest(t *testing.T) (string, bool) {
	t.Helper()
	name := fresh(t)
	held := lock(t, plain(t), name)
	lease, err := etcd.Grant(soon(t), 60)
	must(t, err)
	key := fmt.Sprintf("%s/%x", name, lease.ID)
	request := map[string]any{"name": []byte(name), "lease": lease.ID}
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	first := begin(func() error { _, err := post(ctx, "/v3/lock/lock", request); return err })
	eventually(t, "join", count(t, name+"/", 2))
	again := begin(func() error { _, err := post(soon(t), "/v3/lock/lock", request); return err })
	if !again.stuck(200 * time.Millisecond) {
		t.Fatalf("a lock that is held: %v", again.err)
	}
	giveUp()
	_ = first.end(t)
	comes(t, time.Second, count(t, name+"/", 1))
	must(t, held.Unlock(soon(t)))
	err = again.end(t)
	there := exists(t, key)
	return saw("the repetition: %v; key there: %v; lease gone: %v", err, there,
			expired(t, lease.ID)),
		!there && !expired(t, lease.ID)
}

// repeatedRequest withholds the answer to a join until the session has given up on it and repeated
// the request.
func repeatedRequest(t *testing.T) string {
	link, name := newHTTPLink(t), fresh(t)
	c := recipetest.NewClient(t, gateway.Config{
		Endpoints:      []string{link.URL()},
		AttemptTimeout: 300 * time.Millisecond,
	})
	s := recipetest.NewSession(t, c, nil)
	held := lock(t, plain(t), name)
	lost := link.Add(faultproxy.Rule{
		Match: faultproxy.Path("/v3/kv/txn"), Action: faultproxy.Hang,
		Times: 1,
	})
	var l *mutex.Lock
	waiting := begin(func() (err error) {
		l, err = mutex.New(s, name, nil).Lock(soon(t))
		return err
	})
	must(t, lost.WaitHits(soon(t), 1))
	eventually(t, "the repetition", func() bool { return lost.Seen() > 1 })
	must(t, held.Unlock(soon(t)))
	must(t, waiting.end(t))
	resp, err := etcd.Get(soon(t), l.Key())
	must(t, err)
	if resp.Count != 1 || resp.Kvs[0].CreateRevision != l.Fence() || l.Err() != nil {
		t.Errorf("holds the lock at %d, with %v: %v", l.Fence(), resp.Kvs, l.Err())
	}
	return "the repetition holds the lock, and its key is there"
}

func deletesAnythingPeer(t *testing.T) (string, bool) {
	key := fresh(t)
	_, err := etcd.Put(soon(t), key, "precious")
	must(t, err)
	_, err = post(soon(t), "/v3/lock/unlock", map[string]any{"key": []byte(key)})
	there := exists(t, key)
	_, never := post(soon(t), "/v3/lock/unlock", map[string]any{"key": []byte(key + "/never")})
	return saw("unlock: %v; key there: %v; one that never was: %v", err, there, never),
		err == nil && !there && never == nil
}

// deletesAnything calls Unlock on a lost lock while the next lock of the same session is held.
func deletesAnything(t *testing.T) string {
	s, name := plain(t), fresh(t)
	first := lock(t, s, name)
	remove(t, first.Key())
	second := lock(t, s, name)
	for range 2 {
		if err := first.Unlock(soon(t)); !errors.Is(err, session.ErrNotHeld) {
			t.Errorf("Unlock = %v", err)
		}
	}
	if !exists(t, second.Key()) {
		t.Error("it has deleted the key of the next lock")
	}
	return "Unlock: " + session.ErrNotHeld.Error() + "; the next lock is there"
}

// hiddenLeasePeer: the answer does not name the lease, and its connection is closed when the lock
// is granted.
func hiddenLeasePeer(t *testing.T) (string, bool) {
	name := fresh(t)
	_, err := post(soon(t), "/v3/lock/lock", map[string]any{"name": []byte(name)})
	must(t, err)
	resp, err := etcd.Get(soon(t), name+"/", clientv3.WithPrefix())
	must(t, err)
	if resp.Count != 1 {
		return "no key", false
	}
	lease, err := etcd.TimeToLive(soon(t), clientv3.LeaseID(resp.Kvs[0].Lease))
	must(t, err)
	return saw("its lease: %d s", lease.GrantedTTL), lease.GrantedTTL == 60
}

// hiddenLease: the lease of a lock is the session's lease, and is renewed.
func hiddenLease(t *testing.T) string {
	s := behind(t, cluster.Endpoints()[0], &session.Options{
		TTL:           3 * time.Second,
		AllowShortTTL: true,
	})
	l := lock(t, s, fresh(t))
	resp, err := etcd.Get(soon(t), l.Key())
	must(t, err)
	if resp.Count != 1 || resp.Kvs[0].Lease != int64(s.Lease()) {
		t.Errorf("the lock's key: %v, lease %v", resp.Kvs, s.Lease())
	}
	before := s.Deadline()
	eventually(t, "renewal", func() bool { return s.Deadline().After(before) })
	return "its lease is the session's, and is renewed"
}

func namesBlockPeer(t *testing.T) (string, bool) {
	s, name := newPeer(t).session(t), fresh(t)
	must(t, concurrency.NewMutex(s, name+"/b").Lock(soon(t)))
	err := concurrency.NewMutex(newPeer(t).session(t), name).TryLock(soon(t))
	return saw(`TryLock of "a" with "a/b" locked: %v`, err), errors.Is(err, concurrency.ErrLocked)
}

func namesBlock(t *testing.T, opts *mutex.Options) string {
	s, name := plain(t), fresh(t)
	lockWith(t, s, name+"/b", opts)
	if _, err := mutex.New(plain(t), name, nil).TryLock(soon(t)); err != nil {
		t.Errorf("TryLock = %v", err)
	}
	lockWith(t, s, name+"/c", opts)
	return "both are held"
}

// childOutlivesPeer revokes the lease of the lock of a command that runs until a file exists.
func childOutlivesPeer(t *testing.T) (string, bool) {
	program, err := etcdproc.Ctl()
	must(t, err)
	name, file := fresh(t), filepath.Join(t.TempDir(), "end")
	ctl := exec.CommandContext(t.Context(), program, "--endpoints", cluster.Endpoints()[0], "lock",
		name, "--",
		"sh", "-c", `echo $$; while [ ! -e "$0" ]; do sleep 0.1; done`, file)
	pipe, err := ctl.StdoutPipe()
	must(t, err)
	must(t, ctl.Start())
	line, err := bufio.NewReader(pipe).ReadString('\n')
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	must(t, err)
	resp, err := etcd.Get(soon(t), name+"/", clientv3.WithPrefix())
	must(t, err)
	revoke(t, clientv3.LeaseID(resp.Kvs[0].Lease))
	lock(t, plain(t), name)
	runs := !comes(t, 2*time.Second, func() bool { return syscall.Kill(pid, 0) != nil })
	must(t, os.WriteFile(file, nil, 0o600))
	err = ctl.Wait()
	return saw("another has the lock, the command runs: %v; exit: %v", runs, err), runs &&
		err == nil
}

// childOutlives ends the command by the context that Do passes to its function.
func childOutlives(t *testing.T) string {
	s, name := plain(t), fresh(t)
	started := make(chan struct{})
	doing := begin(func() error {
		return mutex.New(s, name, nil).Do(t.Context(),
			func(ctx context.Context, _ *mutex.Lock) error {
				command := exec.CommandContext(ctx, "sleep", "60")
				must(t, command.Start())
				close(started)
				return command.Wait()
			})
	})
	<-started
	revoke(t, clientv3.LeaseID(s.Lease()))
	err := doing.end(t)
	if !errors.Is(err, session.ErrLost) {
		t.Errorf("Do = %v", err)
	}
	return "the command ends with the lock, and Do tells"
}

func entersWithoutLock(t *testing.T) string {
	link, name := newHTTPLink(t), fresh(t)
	grants := link.Add(faultproxy.Rule{
		Match:  faultproxy.Path("/v3/lease/grant"),
		Action: faultproxy.DelayBefore(0),
	})
	m := mutex.New(behind(t, link.URL(), nil), name, nil)
	lock(t, plain(t), name)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := m.Do(ctx, func(context.Context, *mutex.Lock) error {
			t.Error("entered without the lock")
			return nil
		})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do = %v", err)
		}
		if _, err := m.TryLock(soon(t)); !errors.Is(err, mutex.ErrLocked) {
			t.Errorf("TryLock = %v", err)
		}
	}
	if n := grants.Seen(); n != 1 {
		t.Errorf("%d leases", n)
	}
	return "it is not entered; leases: 1"
}
