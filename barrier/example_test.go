package barrier_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// One process keeps the others waiting until it releases the barrier or dies.
func ExampleBarrier() {
	ctx := context.Background()
	b := barrier.New(s, "migration")
	raised, err := b.Hold(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("migrating", raised.Err())
	fmt.Println(raised.Release(ctx))
	fmt.Println("down:", b.Wait(ctx))
	// Output:
	// migrating <nil>
	// <nil>
	// down: <nil>
}

// Three workers begin together and leave together.
func ExampleDouble() {
	ctx := context.Background()
	var workers sync.WaitGroup
	for range 3 { // usually in different processes
		workers.Go(func() {
			entry, err := barrier.NewDouble(s, "step", 3).Enter(ctx)
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println("all three are here, round", entry.Round())
			if err := entry.Leave(ctx); err != nil { // returns when all three have left
				fmt.Println(err)
			}
		})
	}
	workers.Wait()
	// Output:
	// all three are here, round 1
	// all three are here, round 1
	// all three are here, round 1
}

// Two workers begin each phase together.
func ExampleCyclic() {
	ctx := context.Background()
	var workers sync.WaitGroup
	for range 2 { // usually in different processes
		workers.Go(func() {
			phase := barrier.NewCyclic(s, "batch", 2)
			for range 2 {
				arrival, err := phase.Await(ctx)
				if err != nil {
					fmt.Println(err) // barrier.ErrBroken if another worker stopped waiting
					return
				}
				fmt.Println("phase", arrival.Round)
			}
		})
	}
	workers.Wait()
	// Output:
	// phase 1
	// phase 1
	// phase 2
	// phase 2
}

// A latch opens after its number of counts, and never closes again.
func ExampleLatch() {
	ctx := context.Background()
	ready := barrier.NewLatch(s, "ready", 3)
	for range 3 { // usually each in its own process
		if err := ready.CountDown(ctx); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("open:", ready.Wait(ctx))
	// Output: open: <nil>
}
