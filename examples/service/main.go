// Service runs a lock, an election and a queue in one session, with one lease and one stream of
// watches. You can start several instances.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func main() { local.Main(serve) }

// errDone ends the example. Your own service ends when its context does.
var errDone = errors.New("done")

func serve(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	// After a loss, Run calls the function again with a new session. All parts must have returned
	// by then.
	err = session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
		return all(ctx, s, lead, work)
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// part is one part of the service. It runs until ctx ends.
type part func(ctx context.Context, s *session.Session) error

// all runs the parts of the service. When the first part returns, it cancels the others and waits
// for them. It returns the error of the first part.
func all(ctx context.Context, s *session.Session, parts ...part) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ends := make(chan error, len(parts))
	for _, part := range parts {
		go func() { ends <- part(ctx, s) }()
	}
	err := <-ends
	stop()
	for range len(parts) - 1 {
		<-ends //nolint:errcheck // its context has ended
	}
	return err
}

// lead makes one of all processes plan. election.Run returns the first error of its function; lead
// then reports the error and campaigns again. An error of the session or of ctx ends lead.
func lead(ctx context.Context, s *session.Session) error {
	e := election.New(s, "service/planner", nil)
	for attempt := 1; ; attempt++ {
		err := e.Run(ctx, "planner", func(ctx context.Context, _ *election.Term) error {
			return plan(ctx, s, attempt)
		})
		if ctx.Err() != nil || s.Err() != nil {
			return err
		}
		fmt.Println("the plan failed:", err)
		select {
		case <-time.After(100 * time.Millisecond): // another process may lead in this time
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// plan enqueues tasks while this process leads.
func plan(ctx context.Context, s *session.Session, attempt int) error {
	if attempt == 1 {
		return errors.New("no plan yet")
	}
	tasks := queue.New(s, "service/tasks", nil)
	// The DedupID prevents duplicates, because another leader may have enqueued the task.
	for _, task := range []string{"wash", "dry"} {
		opts := &queue.EnqueueOptions{DedupID: task}
		if _, err := tasks.Enqueue(ctx, []byte(task), opts); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// work receives tasks one by one and does each of them under the lock of the machine.
func work(ctx context.Context, s *session.Session) error {
	machine := mutex.New(s, "service/machine", nil)
	for m, err := range queue.New(s, "service/tasks", nil).Messages(ctx) {
		if err != nil {
			return err
		}
		// The context of the claim ends with the claim. The context of Do also ends with the lock,
		// so the work ends if either is lost.
		//nolint:contextcheck // it ends with ctx
		err = machine.Do(m.Context(), func(context.Context, *mutex.Lock) error {
			fmt.Println("doing:", string(m.Value))
			return nil
		})
		if err == nil {
			err = m.Ack(ctx)
		}
		if err == nil && string(m.Value) == "dry" {
			err = errDone
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
