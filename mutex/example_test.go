package mutex_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// One process at a time does the work. It stops when the lock may be lost.
func Example() {
	ctx := context.Background()
	err := session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
		return mutex.New(s, "jobs/nightly", nil).Do(ctx,
			func(ctx context.Context, lock *mutex.Lock) error {
				fmt.Println("nobody else is at it") // work with ctx, which ends if the lock is lost
				return nil
			})
	})
	fmt.Println(err)
	// Output:
	// nobody else is at it
	// <nil>
}

// Each lock has its own context, and a larger fence than the locks before it.
func ExampleMutex_Lock() {
	ctx := context.Background()
	m := mutex.New(s, "ledger", nil)
	first, err := m.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(first.Err(), first.Unlock(ctx))
	<-first.Context().Done()
	fmt.Println(context.Cause(first.Context()))

	second, err := m.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(second.Fence() > first.Fence(), second.Unlock(ctx))
	fmt.Println("once more:", errors.Is(second.Unlock(ctx), session.ErrNotHeld))
	// Output:
	// <nil> <nil>
	// released
	// true <nil>
	// once more: true
}

// TryLock does not wait. Its error names the holder, and the attempt leaves nothing in etcd.
func ExampleMutex_TryLock() {
	ctx := context.Background()
	m := mutex.New(s, "report", nil)
	lock, err := m.TryLock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = m.TryLock(ctx)
	if locked, ok := errors.AsType[*mutex.LockedError](err); ok {
		fmt.Println(locked.Name, "is held by", locked.Lease == s.Lease(),
			locked.Fence == lock.Fence())
	}
	fmt.Println(lock.Unlock(ctx))
	// Output:
	// report is held by true true
	// <nil>
}

// A write under the lock is applied while the lock is held, or never.
func ExampleLock_txn() {
	ctx := context.Background()
	lock, err := mutex.New(s, "balance", nil).Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	write := gateway.Txn{Then: []gateway.Op{gateway.OpPut("balances/7", []byte("100"))}}
	resp, err := lock.Txn(ctx, write)
	fmt.Println(resp.Succeeded, err)

	fmt.Println(lock.Unlock(ctx))
	_, err = lock.Txn(ctx, write)
	fmt.Println("too late:", errors.Is(err, session.ErrNotHeld))
	// Output:
	// true <nil>
	// <nil>
	// too late: true
}

// Inspect lists the holder and the waiters.
func ExampleMutex_Inspect() {
	ctx := context.Background()
	m := mutex.New(s, "printer", nil)
	lock, err := m.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	members, err := m.Inspect(ctx)
	for _, member := range members {
		fmt.Println(member.Holder, member.Key == lock.Key(), member.Session.PID > 0)
	}
	fmt.Println(err, lock.Unlock(ctx))
	// Output:
	// true true true
	// <nil> <nil>
}

// Many may read at a time, one may write. A writer can become a reader with no other writer in
// between.
func ExampleNewRWMutex() {
	ctx := context.Background()
	rw := mutex.NewRWMutex(s, "config", nil)
	writer, err := rw.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = rw.TryRLock(ctx)
	fmt.Println("reader beside the writer:", !errors.Is(err, mutex.ErrLocked))

	fmt.Println("downgrade:", writer.Downgrade(ctx))
	reader, err := rw.TryRLock(ctx)
	fmt.Println("reader beside the reader:", err == nil)
	fmt.Println(errors.Join(writer.Unlock(ctx), reader.Unlock(ctx)))
	// Output:
	// reader beside the writer: false
	// downgrade: <nil>
	// reader beside the reader: true
	// <nil>
}

// LockAll acquires all of the locks or none, and cannot deadlock with other calls in any order of
// the names.
func ExampleLockAll() {
	ctx := context.Background()
	locks, err := mutex.LockAll(ctx, s, "accounts/7", "accounts/9")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = mutex.New(s, "accounts/9", nil).TryLock(ctx)
	fmt.Println(errors.Is(err, mutex.ErrLocked))

	resp, err := client.Txn(ctx, gateway.Txn{ // applied only while both are held
		If: locks.Guards(),
		Then: []gateway.Op{
			gateway.OpPut("sums/7", []byte("60")),
			gateway.OpPut("sums/9", []byte("40")),
		},
	})
	fmt.Println(resp.Succeeded, err, locks.Unlock(ctx))
	// Output:
	// true
	// true <nil> <nil>
}

// Locker is for code that takes a sync.Locker. Errors that its methods cannot return are passed to
// a function.
func ExampleMutex_Locker() {
	ctx := context.Background()
	locker := mutex.New(s, "legacy", nil).Locker(ctx, func(err error) {
		panic(err) // or end the program in another way: Lock would return without the lock
	})
	locker.Lock()
	fmt.Println("locked")
	locker.Unlock()
	// Output: locked
}

// A request takes a lock, and a later one, in another process, goes on under it.
func ExampleLock_Detach() {
	ctx := context.Background()
	lock, err := mutex.New(s, "deploy", &mutex.Options{Detachable: true}).Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := lock.Detach(ctx, 10*time.Minute)
	fmt.Println("the caller gets the token of", token.Name(), err)

	adopted, err := mutex.Adopt(ctx, s, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(adopted.Fence() > lock.Fence(), adopted.Unlock(ctx))
	// Output:
	// the caller gets the token of deploy <nil>
	// true <nil>
}

// Work that may hang loses its lock when it makes no progress.
func ExampleLock_Progress() {
	ctx := context.Background()
	opts := &mutex.Options{MaxHold: time.Minute}
	err := mutex.New(s, "import", opts).Do(ctx, func(ctx context.Context, lock *mutex.Lock) error {
		for range 3 { // steps that take less than a minute each
			if err := lock.Progress(); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	fmt.Println(err)
	// Output:
	// <nil>
}
