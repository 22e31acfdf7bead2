package mutex_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestExploreLocks lets ten goroutines with sessions of two clients use two names at random: for
// reading and writing, together, with a MaxHold, cached, with a deferred Unlock, and moved between
// sessions. No two hold a name, no write comes after one of a later hold, and nothing is left. In
// every third run all locks are cached. HOLDFAST_LOCK_SEEDS is the number of runs, 30 without it.
func TestExploreLocks(t *testing.T) {
	t.Parallel()
	runs, _ := strconv.ParseUint(cmp.Or(os.Getenv("HOLDFAST_LOCK_SEEDS"), "30"), 10, 64)
	for seed := range runs {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				explore(t, etcd, run{seed: seed, breaks: seed%2 == 1}, t.Errorf)
			})
		})
	}
}

// TestExploreLocksFindsFaults: an etcd that does not keep its promises is noticed.
func TestExploreLocksFindsFaults(t *testing.T) {
	t.Parallel()
	for plant, want := range map[plant]string{
		twoHolders: "is held by", guardsIgnored: "has written",
	} {
		var found atomic.Bool
		for seed := uint64(0); seed < 100 && !found.Load(); seed++ {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				explore(t, etcd, run{seed: 3 * seed, plant: plant}, func(format string, args ...any) {
					if strings.Contains(fmt.Sprintf(format, args...), want) {
						found.Store(true)
					}
				})
			})
		}
		if !found.Load() {
			t.Errorf("fault %d is not found", plant)
		}
	}
}

// run is how an exploration runs.
type run struct {
	seed   uint64
	breaks bool // keys are deleted and leases revoked
	far    bool // all locks are acquired from very far back, see explorefar_test.go
	plant  plant
}

func explore(
	t *testing.T, etcd *fakeetcd.Server, r run, wrong func(format string, args ...any),
) (marked int) {
	t.Helper()
	seed := r.seed
	h := &holders{wrong: wrong, overlap: r.breaks, m: map[string][]*holder{}}
	p := &sessions{t: t, turn: make(chan struct{}, 1)}
	p.clients = []*gateway.Client{etcd.Client(t), etcd.Client(t)}
	if r.far {
		p.clients = append(p.clients, etcd.Client(t), etcd.Client(t))
		lengthen(etcd)
	}
	disturb(wrong, etcd, rand.New(rand.NewPCG(seed, 0)), r, &marked)
	var all sync.WaitGroup
	for i := range 10 {
		random := rand.New(rand.NewPCG(seed, uint64(i+1)))
		e := &explorer{t, h, p, random, seed%3 == 0 && !r.far, r.far, wrong}
		all.Go(func() {
			for round := range 15 {
				e.round(fmt.Sprintf("%d in round %d", i, round))
			}
		})
	}
	all.Wait()
	etcd.Script(nil)
	for _, s := range p.open {
		if s != nil {
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	time.Sleep(time.Minute) // until the locks that are still detached have expired
	keys := members(etcd)
	if n := etcd.Leases(); len(keys) > 0 || n > 0 {
		wrong("left: %v, %d leases", keys, n)
	}
	return marked
}

type explorer struct {
	t      *testing.T
	held   *holders
	pool   *sessions
	random *rand.Rand
	cached bool // all locks are
	far    bool // see run
	wrong  func(format string, args ...any)
}

// lock is a [mutex.Lock] or a [mutex.MultiLock].
type lock interface {
	Fence() int64
	Err() error
	Txn(ctx context.Context, t gateway.Txn) (*gateway.TxnResponse, error)
	Unlock(ctx context.Context) error
}

func (e *explorer) session() (_ *session.Session, number int) {
	number = e.random.IntN(4)
	return e.pool.get(number), number
}

func (e *explorer) upTo(d time.Duration) time.Duration {
	return time.Duration(e.random.Int64N(int64(d)))
}

func (e *explorer) round(who string) {
	ctx, cancel := context.WithTimeout(e.t.Context(), time.Minute)
	defer cancel()
	s, number := e.session()
	me := &holder{who: who, names: []string{"a"}, writer: true}
	if e.random.IntN(2) == 0 {
		me.names[0] = "b"
	}
	patience := time.Minute
	if e.far && e.random.IntN(4) == 0 {
		patience = e.upTo(time.Second)
	}
	short, stop := context.WithTimeout(ctx, patience)
	defer stop()
	l, err := e.acquire(short, s, me, e.far && number > 0)
	if err != nil {
		if !errors.Is(err, session.ErrLost) && !errors.Is(err, gateway.ErrPermissionDenied) &&
			(!e.far || short.Err() == nil) {
			e.wrong("%v", err)
		}
		return
	}
	me.err = l.Err
	e.held.enter(me)
	for range e.random.IntN(4) {
		e.use(ctx, l, me)
	}
	if one, ok := l.(*mutex.Lock); ok && e.random.IntN(3) == 0 {
		l, me = e.move(ctx, one, me)
	}
	e.held.leave(me)
	if e.random.IntN(40) == 0 {
		_ = s.Close(ctx)
	}
	for errors.Is(l.Unlock(ctx), gateway.ErrPermissionDenied) {
		time.Sleep(e.upTo(500 * time.Millisecond))
	}
}

// acquire may change the names and the mode of me. If alone is true, it uses nothing for which the
// client follows the whole line.
func (e *explorer) acquire(
	ctx context.Context, s *session.Session, me *holder, alone bool,
) (lock, error) {
	name := me.names[0]
	dice := e.random.IntN(14)
	switch {
	case e.cached:
		dice = 7 + dice%3
	case alone:
		dice = max(dice, 4)
	}
	switch dice {
	case 0, 1, 2:
		me.writer = false
		return mutex.NewRWMutex(s, name, nil).RLock(ctx)
	case 3:
		me.names = []string{"a", "b"}
		return mutex.LockAll(ctx, s, me.names...)
	case 4:
		opts := &mutex.Options{MaxHold: time.Second + e.upTo(time.Second)}
		return mutex.New(s, name, opts).Lock(ctx)
	case 5, 6:
		opts := &mutex.Options{MaxHold: time.Second, Detachable: true}
		return mutex.New(s, name, opts).Lock(ctx)
	case 7, 8:
		return mutex.New(s, name, &mutex.Options{Cache: true}).Lock(ctx)
	case 9:
		opts := &mutex.Options{Cache: true, MaxHold: time.Second + e.upTo(time.Second)}
		return mutex.New(s, name, opts).Lock(ctx)
	case 10, 11:
		return mutex.New(s, name, deferUnlock).Lock(ctx)
	default:
		return mutex.NewRWMutex(s, name, nil).Lock(ctx)
	}
}

// use does something with a lock. A transaction may still be under way when it returns.
func (e *explorer) use(ctx context.Context, l lock, me *holder) {
	one, _ := l.(*mutex.Lock)
	switch n := e.random.IntN(6); {
	case n == 0:
		time.Sleep(e.upTo(800 * time.Millisecond))
	case n == 1 && one != nil && e.random.IntN(3) == 0:
		one.Guard()
	case n == 2 && one != nil && e.random.IntN(2) == 0:
		e.held.share(me)
		_ = one.Downgrade(ctx)
	case n > 2 && me.writer:
		var put gateway.Txn
		for _, name := range me.names { // not the fence, with which a cached key is not passed on
			value := strconv.FormatInt(me.number, 10)
			put.Then = append(put.Then, gateway.OpPut("written/"+name, []byte(value)))
		}
		if e.random.IntN(4) == 0 {
			e.held.read(me, l.Fence())
		}
		ctx, cancel := context.WithTimeout(ctx, e.upTo(200*time.Millisecond))
		write := func() {
			defer cancel()
			_, _ = l.Txn(ctx, put)
		}
		if e.random.IntN(2) == 0 {
			go write()
		} else {
			write()
		}
	}
}

// move detaches a lock and lets another session adopt it. It returns the lock that is left.
func (e *explorer) move(ctx context.Context, l *mutex.Lock, me *holder) (lock, *holder) {
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond+e.upTo(time.Second))
	defer cancel()
	e.held.leave(me)
	token, err := l.Detach(short, 5*time.Second)
	if err != nil {
		return l, me
	}
	if e.random.IntN(2) == 0 {
		_ = mutex.Renew(ctx, e.pool.clients[0], token, 5*time.Second)
	}
	s, _ := e.session()
	next, err := mutex.Adopt(ctx, s, token)
	if err != nil {
		return l, me
	}
	taken := &holder{who: me.who + ", adopted", names: me.names, writer: true, err: next.Err}
	e.held.enter(taken)
	e.use(ctx, next, taken)
	return next, taken
}
