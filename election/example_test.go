package election_test

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// A service of which one instance works at a time, for as long as the program runs.
func ExampleRun() {
	ctx, client := context.Background(), &gateway.Client{} // of the program
	err := election.Run(ctx, client, nil, "jobs", "10.0.0.7:8080", func(ctx context.Context, term *election.Term) error {
		fmt.Println("leading, fence", term.Fence())
		<-ctx.Done() // work until then
		return ctx.Err()
	})
	fmt.Println(err)
}

// Whoever wants to talk to the leader follows it.
func ExampleElection_Observe() {
	ctx, s := context.Background(), &session.Session{} // of the program
	for event, err := range election.New(s, "jobs").Observe(ctx) {
		switch {
		case err != nil:
			fmt.Println(err) // the last
		case event.Leader == nil:
			fmt.Println("nobody leads")
		default:
			fmt.Println("leader at", event.Leader.Value)
		}
	}
}

// Before a leader is shut down it hands over to the candidate of its choice.
func ExampleTerm_StepDown() {
	ctx, e, term := context.Background(), &election.Election{}, &election.Term{} // of the program
	candidates, err := e.Candidates(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range candidates {
		if c.Value == "10.0.0.9:8080" {
			err = term.StepDown(ctx, c)
		}
	}
	fmt.Println(err)
}
