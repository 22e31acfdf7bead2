package semaphore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// A job acquires two of eight units.
func ExampleSemaphore_Acquire() {
	ctx := context.Background()
	permit, err := semaphore.New(s, "gpus", 8, nil).Acquire(ctx, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("taken:", permit.Weight(), permit.Err()) // work with permit.Context()
	fmt.Println(permit.Release(ctx))
	// Output:
	// taken: 2 <nil>
	// <nil>
}

// Do releases the permit when the work is done, and ends the context of the work when the permit is
// lost.
func ExampleSemaphore_Do() {
	ctx := context.Background()
	m := semaphore.New(s, "uploads", 3, nil)
	err := m.Do(ctx, 1, func(ctx context.Context, _ *semaphore.Permit) error {
		state, err := m.Inspect(ctx)
		fmt.Printf("%d of %d in use\n", state.Used, state.Limit)
		return err
	})
	fmt.Println(err)
	// Output:
	// 1 of 3 in use
	// <nil>
}

// TryAcquire does not wait. Its error reports how much is in use.
func ExampleSemaphore_TryAcquire() {
	ctx := context.Background()
	m := semaphore.New(s, "licences", 5, nil)
	permit, err := m.TryAcquire(ctx, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = m.TryAcquire(ctx, 2)
	if full, ok := errors.AsType[*semaphore.FullError](err); ok {
		fmt.Printf("%d of %d are in use, %d wait\n", full.Used, full.Limit, full.Waiting)
	}
	fmt.Println(permit.Release(ctx))
	// Output:
	// 4 of 5 are in use, 0 wait
	// <nil>
}

// An operator raises the limit. All programs still declare 2; the current limit is kept in etcd.
func ExampleSemaphore_Resize() {
	ctx := context.Background()
	m := semaphore.New(s, "builders", 2, nil)
	permit, err := m.Acquire(ctx, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Resize(ctx, 3))
	another, err := m.TryAcquire(ctx, 1)
	fmt.Println(err)
	fmt.Println(errors.Join(permit.Release(ctx), another.Release(ctx)))
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
