package once_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// Replicas make a report once. All of them have it.
func ExampleOnce_Do() {
	ctx := context.Background()
	o := once.New(s, "reports/2026-11", &once.Options{Retention: 24 * time.Hour})
	report := func(context.Context, *once.Run) ([]byte, error) {
		fmt.Println("making the report")
		return []byte("42 orders"), nil
	}
	for range 2 { // usually two processes
		res, err := o.Do(ctx, report)
		fmt.Printf("%s, ran: %v, %v\n", res.Value, res.Ran, err)
	}
	// Output:
	// making the report
	// 42 orders, ran: true, <nil>
	// 42 orders, ran: false, <nil>
}

// The writes of a run are applied with its result or not at all.
func ExampleRun_Complete() {
	ctx := context.Background()
	o := once.New(s, "migrations/7", nil)
	_, err := o.Do(ctx, func(ctx context.Context, run *once.Run) ([]byte, error) {
		return nil, run.Complete(ctx, []byte("done"), gateway.OpPut("schema", []byte("7")))
	})
	schema, readErr := client.Get(ctx, "schema")
	fmt.Printf("schema %s, %v, %v\n", schema.KVs[0].Value, err, readErr)
	// Output:
	// schema 7, <nil>, <nil>
}
