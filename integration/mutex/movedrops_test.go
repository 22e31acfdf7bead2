package mutex_test

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// movesVar is the number of moves of the test.
const movesVar = "HOLDFAST_MOVES"

// TestLocksMoveWhileAnswersAreLost: while answers are lost, and requests arrive later than their
// repetitions, a lock that moves is granted to no other member, fences grow over all owners, and no
// write of an earlier owner is applied.
func TestLocksMoveWhileAnswersAreLost(t *testing.T) {
	t.Parallel()
	moves := 50
	if v := os.Getenv(movesVar); v != "" {
		var err error
		if moves, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	p := newHTTPProxy(t, cluster.Endpoints()[0])
	direct := newClient(t, gateway.Config{})
	f := &moving{number: counter{direct, fresh(t)}, name: fresh(t)}
	for range 4 {
		c := newClient(t, gateway.Config{
			Endpoints:      []string{p.URL()},
			AttemptTimeout: 300 * time.Millisecond,
		})
		f.sessions = append(f.sessions, newSession(t, c, &session.Options{TTL: 60 * time.Second}))
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	late := p.Add(faultproxy.Rule{
		Match:  sometimes(20),
		Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})
	var all sync.WaitGroup
	done := make(chan struct{})
	for _, s := range f.sessions[2:] {
		all.Go(func() { f.contend(t, s, done) })
	}
	for i := range moves {
		f.move(t, direct, f.sessions[i%2], f.sessions[(i+1)%2])
	}
	close(done)
	all.Wait()
	figure(t, "%d moves (%d without a fence) among %d owners; %d answers dropped, %d requests late",
		moves, f.noFence, len(f.fences), dropped.Hits(), late.Hits())
	if got := f.number.read(t); got != len(f.fences) {
		t.Errorf("counted %d of %d owners", got, len(f.fences))
	}
	for i := 1; i < len(f.fences); i++ {
		if f.fences[i] <= f.fences[i-1] {
			t.Errorf("fence %d came after %d", f.fences[i], f.fences[i-1])
		}
	}
	if f.noFence > moves/10 {
		t.Errorf("%d of %d moves had no fence", f.noFence, moves)
	}
}

// moving is a lock that moves while others wait for it. Only the owner of the lock uses the fields
// that change, so that the race detector checks that there is one owner.
type moving struct {
	name     string
	number   counter
	sessions []*session.Session
	fences   []int64
	noFence  int
}

func (f *moving) own(t *testing.T, lock *mutex.Lock) {
	t.Helper()
	f.number.increment(t)
	f.fences = append(f.fences, lock.Fence())
}

// contend acquires the lock again and again.
func (f *moving) contend(t *testing.T, s *session.Session, done chan struct{}) {
	t.Helper()
	for {
		select {
		case <-done:
			return
		default:
		}
		l, err := mutex.New(s, f.name, nil).Lock(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		f.own(t, l)
		if err := l.Unlock(t.Context()); err != nil {
			t.Error(err)
			return
		}
	}
}

// move acquires the lock in one session and releases it in another.
func (f *moving) move(t *testing.T, direct *gateway.Client, from, to *session.Session) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	given, err := mutex.New(from, f.name, detachable).Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.own(t, given)
	token, err := given.Detach(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := mutex.Adopt(ctx, to, token)
	if errors.Is(err, mutex.ErrNoFence) {
		f.noFence++
		if err := mutex.Release(ctx, direct, token); err != nil {
			t.Errorf("Release = %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	write := []gateway.Op{gateway.OpPut(f.name+".late", nil)}
	if _, err := given.Txn(ctx, gateway.Txn{Then: write}); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Txn of an earlier owner = %v", err)
	}
	resp, err := direct.Txn(ctx, gateway.Txn{If: []gateway.Cmp{given.Guard()}, Then: write})
	if err != nil || resp.Succeeded {
		t.Errorf("a guarded write of an earlier owner: %v, %v", resp, err)
	}
	f.own(t, taken)
	unlock(t, taken)
}
