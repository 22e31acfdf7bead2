package keys_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
	"github.com/holdfast-go/holdfast/stm"
)

// user uses the recipes with two sessions of two clients.
type user struct {
	t    *testing.T
	ctx  context.Context
	a, b *session.Session
}

// no fails the test if one of errs is not nil.
func (u user) no(errs ...error) {
	u.t.Helper()
	if err := errors.Join(errs...); err != nil {
		u.t.Fatal(err)
	}
}

// joined waits until a line has n members.
func (u user) joined(name string, n int) {
	u.t.Helper()
	recipetest.Eventually(u.t, name, func() bool {
		return len(recipetest.Members(u.t, u.a.Client(), name)) == n
	})
}

// resumed resumes the first session and its leadership, and uses some recipes with it.
func (u user) resumed() {
	u.t.Helper()
	const name = "docs/election"
	_, err := election.New(u.a, name, nil).Campaign(u.ctx, "first life")
	u.no(err)
	u.a.Orphan()
	u.a, err = session.Resume(u.ctx, u.a.Client(), u.a.Lease(), &session.Options{Name: "a"})
	u.no(err)
	term, err := election.New(u.a, name, nil).Resume(u.ctx)
	u.no(err)
	u.no(term.Proclaim(u.ctx, "second life"), term.Resign(u.ctx))
	u.locks()
	_, err = queue.New(u.a, "docs/queue", nil).Enqueue(u.ctx, []byte("second life"), nil)
	u.no(err, u.a.Close(u.ctx))
}

// soon runs a call in a goroutine and returns a channel that receives its error.
func soon(call func() error) chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	return done
}

// longLine releases a lock that has waited behind many.
func (u user) longLine() {
	u.t.Helper()
	const many = 70
	ctx, cancel := context.WithCancel(u.ctx)
	defer cancel()
	lock := mutex.New(u.a, "docs/lock", nil)
	first, err := lock.Lock(ctx)
	u.no(err)
	var others sync.WaitGroup
	for range many {
		others.Go(func() { _, _ = lock.Lock(ctx) })
	}
	u.joined("docs/lock", 1+many)
	last := soon(func() error {
		return mutex.New(u.b, "docs/lock", nil).Do(u.ctx, func(context.Context, *mutex.Lock) error {
			return nil
		})
	})
	u.joined("docs/lock", 2+many)
	cancel()
	others.Wait()
	u.no(first.Unlock(u.ctx), <-last)
}

func (u user) locks() {
	u.t.Helper()
	lock, err := mutex.New(u.a, "docs/lock", nil).Lock(u.ctx)
	u.no(err)
	second := soon(func() error {
		return mutex.New(u.a, "docs/lock", nil).Do(u.ctx, func(context.Context, *mutex.Lock) error {
			return nil
		})
	})
	u.joined("docs/lock", 2)
	for _, rev := range []int64{lock.Fence(), 1} { // a compare that holds, and one that fails
		_, err = lock.Txn(u.ctx,
			gateway.Txn{If: []gateway.Cmp{gateway.CmpCreateRevision(lock.Key(), gateway.Equal,
				rev)}})
		u.no(err)
	}
	u.no(lock.Unlock(u.ctx), <-second)

	rw := mutex.NewRWMutex(u.b, "docs/rw", nil)
	write, err := rw.TryLock(u.ctx)
	u.no(err)
	u.no(write.Downgrade(u.ctx))
	read, err := rw.RLock(u.ctx)
	u.no(err)
	tried, err := rw.TryRLock(u.ctx)
	u.no(err)
	_, err = rw.Inspect(u.ctx)
	u.no(err, write.Unlock(u.ctx), read.Unlock(u.ctx), tried.Unlock(u.ctx))

	u.longLine()

	several, err := mutex.LockAll(u.ctx, u.a, "docs/one", "docs/two")
	u.no(err)
	u.no(several.Unlock(u.ctx))

	delayed, err := mutex.New(u.a, "docs/delayed",
		&mutex.Options{LockDelay: time.Millisecond}).Lock(u.ctx)
	u.no(err)
	u.no(delayed.Unlock(u.ctx))
	cached, err := mutex.New(u.a, "docs/cached", &mutex.Options{Cache: true}).Lock(u.ctx)
	u.no(err)
	u.no(cached.Unlock(u.ctx))
	moved, err := mutex.New(u.a, "docs/moved", &mutex.Options{Detachable: true}).Lock(u.ctx)
	u.no(err)
	token, err := moved.Detach(u.ctx, time.Minute)
	u.no(err, mutex.Renew(u.ctx, u.b.Client(), token, time.Hour))
	adopted, err := mutex.Adopt(u.ctx, u.b, token)
	u.no(err)
	u.no(adopted.Unlock(u.ctx))
	limited := mutex.New(u.a, "docs/limited", &mutex.Options{MaxHold: time.Hour})
	held, err := limited.Lock(u.ctx)
	u.no(err)
	recipetest.Eventually(u.t, "the time of the grant", func() bool {
		who, err := limited.Inspect(u.ctx)
		return err == nil && len(who) == 1 && !who[0].Since.IsZero()
	})
	u.no(limited.Break(u.ctx, held.Key(), held.Fence(), "tidy up"))
	err = held.Unlock(u.ctx)
	if broken, ok := errors.AsType[*session.BrokenError](err); !ok || broken.Reason != "tidy up" {
		u.t.Errorf("Unlock = %v", err)
	}
}

func (u user) elections() {
	u.t.Helper()
	const name = "docs/election"
	term, err := election.New(u.a, name, nil).Campaign(u.ctx, "10.0.0.7:8080")
	u.no(err)
	u.no(term.Proclaim(u.ctx, "10.0.0.8:8080"))
	lead := func(s *session.Session, value string, n int) chan error {
		done := soon(func() error {
			term, err := election.New(s, name, nil).Campaign(u.ctx, value)
			if err != nil {
				return err
			}
			return term.Resign(u.ctx)
		})
		u.joined(name, n)
		return done
	}
	second, third := lead(u.b, "second", 2), lead(u.a, "third", 3)
	all, err := election.New(u.b, name, nil).Candidates(u.ctx)
	u.no(err)
	u.no(term.TransferTo(u.ctx, all[2]), <-second, <-third)
}

func (u user) semaphores() {
	u.t.Helper()
	s := semaphore.New(u.a, "docs/semaphore", 8, nil)
	two, err := s.Acquire(u.ctx, 2)
	u.no(err)
	u.no(s.Resize(u.ctx, 6))
	one, err := semaphore.New(u.b, "docs/semaphore", 8, nil).TryAcquire(u.ctx, 1)
	u.no(err)
	u.no(one.Release(u.ctx), two.Release(u.ctx))
}

func (u user) barriers() {
	u.t.Helper()
	simple := barrier.New(u.a, "docs/simple")
	raised, err := simple.Hold(u.ctx)
	u.no(err)
	u.no(raised.Release(u.ctx), simple.Raise(u.ctx), simple.Lower(u.ctx), simple.Wait(u.ctx))

	step := func(s *session.Session) chan error {
		return soon(func() error {
			entry, err := barrier.NewDouble(s, "docs/double", 2).Enter(u.ctx)
			if err != nil {
				return err
			}
			return entry.Leave(u.ctx)
		})
	}
	one, two := step(u.a), step(u.b)
	u.no(<-one, <-two)

	await := func(s *session.Session) chan error {
		return soon(func() error {
			_, err := barrier.NewCyclic(s, "docs/cyclic", 2).Await(u.ctx)
			return err
		})
	}
	alone := await(u.a)
	u.joined("docs/cyclic", 1)
	u.no(barrier.NewCyclic(u.b, "docs/cyclic", 2).Reset(u.ctx))
	if err := <-alone; !errors.Is(err, barrier.ErrBroken) {
		u.t.Errorf("Await of a round that was reset: %v", err)
	}
	first, second := await(u.a), await(u.b)
	u.no(<-first, <-second)

	latch := barrier.NewLatch(u.a, "docs/latch", 2)
	u.no(latch.CountDown(u.ctx), barrier.NewLatch(u.b, "docs/latch", 2).CountDown(u.ctx),
		latch.Wait(u.ctx))
}

func (u user) onces() {
	u.t.Helper()
	value := func(value string, err error) func(context.Context, *once.Run) ([]byte, error) {
		return func(context.Context, *once.Run) ([]byte, error) { return []byte(value), err }
	}
	o := once.New(u.a, "docs/once", &once.Options{Backoff: func(int) time.Duration { return 0 }})
	failure := errors.New("disk full")
	if _, err := o.Do(u.ctx, value("", failure)); !errors.Is(err, failure) {
		u.t.Errorf("Do = %v", err)
	}
	_, err := o.Do(u.ctx, value("42 orders", nil))
	_, kept := once.New(u.b, "docs/kept", &once.Options{Retention: time.Hour}).
		Do(u.ctx, value("", nil))
	u.no(err, kept)
}

// groups returns the leases of the member's sessions.
func (u user) groups() (own []gateway.LeaseID) {
	u.t.Helper()
	opts := &member.Options{ID: "api-0", Value: "10.0.0.7:8080", Zone: "eu-1a"}
	err := member.Run(u.ctx, u.a.Client(), "docs/group", opts,
		func(ctx context.Context, s *session.Session, m *member.Membership) error {
			own = append(own, s.Lease())
			return errors.Join(m.Update(ctx, "10.0.0.8:8080"), m.SetWeight(ctx, 0))
		})
	view, read := member.Members(u.ctx, u.b.Client(), "docs/group")
	u.no(err, read)
	if len(view.Members) > 0 {
		u.t.Errorf("members %+v", view.Members)
	}
	return own
}

func (u user) crons() {
	u.t.Helper()
	ctx, cancel := context.WithCancel(u.ctx)
	defer cancel()
	c := u.a.Client()
	job := cron.New("docs/cron", cron.Every(10*time.Millisecond), &cron.Options{
		MaxAttempts: 1, History: 1,
	})
	u.no(job.Trigger(ctx, c, "wrong figures"))
	for _, failure := range []error{errors.New("disk full"), nil} {
		failing, stop := context.WithCancel(ctx)
		ran := 0
		err := job.Run(failing, c, func(context.Context, *cron.Tick) error {
			if ran++; ran == 3 {
				stop()
				return nil
			}
			return failure
		})
		if !errors.Is(err, context.Canceled) {
			u.t.Errorf("Run = %v", err)
		}
	}
	u.no(job.Pause(ctx, c, "a migration"), job.Resume(ctx, c))
}

func (u user) limits() {
	u.t.Helper()
	l := limit.New(u.a, "docs/limit", limit.Rate{Tokens: 1, Per: time.Hour, Burst: 10},
		&limit.Options{Block: 5})
	_, err := l.Reserve(u.ctx, 1)
	_, idErr := limit.NewIDs(u.a, "docs/ids", nil).Next(u.ctx)
	_, addErr := limit.NewCounter(u.a, "docs/counter").Add(u.ctx, -12)
	u.no(err, idErr, addErr, l.Close(u.ctx))
}

// transactions uses a counter's key, because their keys are the caller's own. They and a cache
// write nothing else but the receipts of the session.
func (u user) transactions() {
	u.t.Helper()
	const key = "docs/counter//counter"
	copied, err := cache.Open(u.ctx, u.b.Client(), "docs/counter//", nil)
	u.no(err)
	defer copied.Close()
	revision, err := stm.Do(u.ctx, u.a, func(tx *stm.Tx) error {
		value, err := tx.Get(key)
		_, prefixErr := tx.Prefix("docs/counter//")
		tx.Put(key, value)
		return errors.Join(err, prefixErr)
	}, &stm.Options{Prefetch: []string{key}})
	u.no(err, copied.WaitRevision(u.ctx, revision))
}

// shards runs two members, of which one leaves and returns, so that shards are not at home. It
// returns the leases of their sessions.
func (u user) shards() (own []gateway.LeaseID) {
	u.t.Helper()
	const name = "docs/shards"
	run := func(s *session.Session, id, zone string) (stop func()) {
		ctx, cancel := context.WithCancel(u.ctx)
		done := soon(func() error {
			return shard.Run(ctx, s.Client(), name, 4, func(ctx context.Context, s *shard.Shard) error {
				s.ReportLoad(10)
				if err := s.SetValue(ctx, "10.0.0.7:1"); err != nil && ctx.Err() == nil {
					return err
				}
				<-ctx.Done()
				return nil
			}, &shard.Options{Member: member.Options{ID: id, Zone: zone}})
		})
		return func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				u.t.Errorf("Run = %v", err)
			}
		}
	}
	owned := func(id string, want int) {
		recipetest.Eventually(u.t, "the shards of "+id, func() bool {
			n := want
			for s := range 4 {
				o, err := shard.Owner(u.ctx, u.b.Client(), name, s)
				if err == nil && o.Member.ID == id {
					n--
					own = append(own, o.Member.Lease)
				}
			}
			return n == 0
		})
	}
	stop := run(u.a, "worker-0", "eu-1a")
	owned("worker-0", 4)
	other := run(u.b, "worker-1", "")
	owned("worker-1", 2)
	c := u.b.Client()
	u.no(shard.Pause(u.ctx, c, name, 1, "a bad tenant"), shard.Resume(u.ctx, c, name, 1),
		shard.Drain(u.ctx, c, name, "worker-0", "a new disk"), shard.Undrain(u.ctx, c, name, "worker-0"))
	stop()
	owned("worker-1", 4)
	other()
	return own
}
