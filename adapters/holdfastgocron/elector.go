package holdfastgocron

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// ErrNotLeader is returned by [Elector.IsLeader] when another instance runs the jobs, or none.
var ErrNotLeader = errors.New("holdfastgocron: this instance does not lead")

// Elector is a [gocron.Elector]: the instance that leads runs the jobs. The zero value is ready for
// use, and does not lead before [Elector.Run].
type Elector struct {
	mu      sync.Mutex
	running bool
	term    *election.Term
}

// Run campaigns until ctx ends, again after each loss, and resigns then. value names the instance.
// It returns the error of ctx, or one of the errors that end [session.Run]. Returns
// [gateway.ErrInvalid] when another Run of the Elector goes on.
func (e *Elector) Run(
	ctx context.Context, c *gateway.Client, opts *session.Options, name, value string,
) error {
	if !e.start() {
		return fmt.Errorf("%w: the elector runs already", gateway.ErrInvalid)
	}
	defer e.stop()
	return election.Run(ctx, c, opts, name, value,
		func(ctx context.Context, term *election.Term) error {
			e.set(term)
			defer e.set(nil)
			<-ctx.Done()
			return context.Cause(ctx)
		})
}

func (e *Elector) start() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running {
		return false
	}
	e.running = true
	return true
}

func (e *Elector) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = false
}

func (e *Elector) set(term *election.Term) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.term = term
}

// IsLeader returns nil while this instance leads. It sends no request.
func (e *Elector) IsLeader(context.Context) error {
	e.mu.Lock()
	term := e.term
	e.mu.Unlock()
	if term == nil {
		return ErrNotLeader
	}
	if err := term.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return nil
}
