package barrier_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Of the program that the examples are from: a client, made once, and a session, made by session.New or given by
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// One process holds the others up, for as long as it needs or until it dies.
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
	for range 3 { // processes of their own, as a rule
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

// Two workers go from phase to phase together.
func ExampleCyclic() {
	ctx := context.Background()
	var workers sync.WaitGroup
	for range 2 { // processes of their own, as a rule
		workers.Go(func() {
			phase := barrier.NewCyclic(s, "batch", 2)
			for range 2 {
				arrival, err := phase.Await(ctx)
				if err != nil {
					fmt.Println(err) // barrier.ErrBroken: somebody has given up
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

// A latch opens for good after as many counts as it was made for.
func ExampleLatch() {
	ctx := context.Background()
	ready := barrier.NewLatch(s, "ready", 3)
	for range 3 { // each by a process of its own, as a rule
		if err := ready.CountDown(ctx); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("open:", ready.Wait(ctx))
	// Output: open: <nil>
}
