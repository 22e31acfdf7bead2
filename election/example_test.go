package election_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// One instance of a service works at a time, for as long as the program runs.
func ExampleRun() {
	ctx := context.Background()
	err := election.Run(ctx, client, nil, "service", "10.0.0.7:8080",
		func(ctx context.Context, term *election.Term) error {
			fmt.Println("leading:", term.Fence() > 0) // work until ctx ends
			return nil                                // which resigns
		})
	fmt.Println(err)
	// Output:
	// leading: true
	// <nil>
}

// A leader shows a value, and changes it only while it leads.
func ExampleElection_Campaign() {
	ctx := context.Background()
	e := election.New(s, "team", nil)
	term, err := e.Campaign(ctx, "10.0.0.7:8080")
	if err != nil {
		fmt.Println(err)
		return
	}
	leader, err := e.Leader(ctx)
	fmt.Println(leader.Value, err)

	fmt.Println(term.Proclaim(ctx, "10.0.0.7:9090"))
	leader, err = e.Leader(ctx)
	fmt.Println(leader.Value, err)

	fmt.Println(term.Resign(ctx))
	_, err = e.Leader(ctx)
	fmt.Println(errors.Is(err, election.ErrNoLeader))
	// Output:
	// 10.0.0.7:8080 <nil>
	// <nil>
	// 10.0.0.7:9090 <nil>
	// <nil>
	// true
}

// A client of the leader observes where it is.
func ExampleElection_Observe() {
	ctx := context.Background()
	e := election.New(s, "jobs", nil)
	term, err := e.Campaign(ctx, "10.0.0.7:8080")
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range e.Observe(ctx) {
		if err != nil {
			fmt.Println(err) // the last pair
			return
		}
		if event.Leader == nil {
			fmt.Println("nobody leads")
			return
		}
		fmt.Println("leader at", event.Leader.Value)
		if err := term.Resign(ctx); err != nil { // so that the example ends
			fmt.Println(err)
		}
	}
	// Output:
	// leader at 10.0.0.7:8080
	// nobody leads
}

// Before it shuts down, a leader hands over to a candidate of its choice.
func ExampleTerm_TransferTo() {
	ctx := context.Background()
	e := election.New(s, "shards/3", nil)
	term, err := e.Campaign(ctx, "10.0.0.7:8080")
	if err != nil {
		fmt.Println(err)
		return
	}
	led := make(chan *election.Term, 2)
	for _, address := range []string{"10.0.0.8:8080", "10.0.0.9:8080"} {
		go func() { // usually other processes
			next, err := e.Campaign(ctx, address)
			if err != nil {
				fmt.Println(err)
			}
			led <- next
		}()
	}
	var candidates []election.Candidate
	for len(candidates) < 3 && err == nil { // until both have joined
		candidates, err = e.Candidates(ctx)
	}
	for _, c := range candidates {
		if c.Value == "10.0.0.9:8080" {
			err = term.TransferTo(ctx, c)
		}
	}
	fmt.Println(err)
	for range 2 {
		next := <-led
		leader, err := e.Leader(ctx)
		fmt.Println(leader.Value, err, next.Resign(ctx))
	}
	// Output:
	// <nil>
	// 10.0.0.9:8080 <nil> <nil>
	// 10.0.0.8:8080 <nil> <nil>
}
