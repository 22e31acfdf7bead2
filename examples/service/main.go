// Service is a process with a lock, an election and a queue, all in one session: one lease, one stream of watches, and
// one end. Run as many of them as you like.
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

// errDone ends the example. A service of your own ends when its context does.
var errDone = errors.New("done")

func serve(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	// After a lost session Run calls the function again, with a new one. All parts must have ended by then.
	err = session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
		return all(ctx, s, lead, work)
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// all runs the parts of the service, and returns the first error when all have ended. The first that ends, ends the others.
func all(ctx context.Context, s *session.Session, parts ...func(context.Context, *session.Session) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ends := make(chan error, len(parts))
	for _, part := range parts {
		go func() { ends <- part(ctx, s) }()
	}
	err := <-ends
	stop()
	for range len(parts) - 1 {
		<-ends //nolint:errcheck // it was told to end
	}
	return err
}

// lead has one of all processes plan. election.Run ends on the first error of its function; this one reports the error
// and stands for election again. An error of the session or of ctx is not the plan's, and ends it.
func lead(ctx context.Context, s *session.Session) error {
	e := election.New(s, "service/planner", nil)
	for attempt := 1; ; attempt++ {
		err := e.Run(ctx, "planner", func(ctx context.Context, _ *election.Term) error { return plan(ctx, s, attempt) })
		if ctx.Err() != nil || s.Err() != nil {
			return err
		}
		fmt.Println("the plan failed:", err)
		select {
		case <-time.After(100 * time.Millisecond): // another process may lead meanwhile
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// plan puts tasks into the queue for as long as it leads.
func plan(ctx context.Context, s *session.Session, attempt int) error {
	if attempt == 1 {
		return errors.New("no plan yet")
	}
	tasks := queue.New(s, "service/tasks", nil)
	for _, task := range []string{"wash", "dry"} { // another leader may have put it: the ID keeps it from being there twice
		if _, err := tasks.Enqueue(ctx, []byte(task), &queue.EnqueueOptions{DedupID: task}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// work takes tasks, one after the other, and does each under the lock of what it is done with.
func work(ctx context.Context, s *session.Session) error {
	machine := mutex.New(s, "service/machine", nil)
	for m, err := range queue.New(s, "service/tasks", nil).Messages(ctx) {
		if err != nil {
			return err
		}
		// The claim's context ends with the claim: with it the work stops when either is lost, the claim or the lock.
		err = machine.Do(m.Context(), func(context.Context, *mutex.Lock) error { //nolint:contextcheck // it ends with ctx
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
