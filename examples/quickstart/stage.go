package main

import (
	"context"
	"time"
)

// stage is where the crew plays: what it reports is shown, and answered.
type stage struct {
	crew     *crew
	timeline *timeline
}

func (s *stage) next(ctx context.Context) (event, error) {
	select {
	case e := <-s.crew.events:
		s.timeline.show(e)
		return e, nil
	case err := <-s.crew.failed:
		return event{}, err
	case <-ctx.Done():
		return event{}, context.Cause(ctx)
	}
}

// pace is how long each increment takes, so that one can watch.
const pace = 80 * time.Millisecond

// until lets the workers go on until there was enough.
func (s *stage) until(ctx context.Context, enough func(event) bool) error {
	for {
		e, err := s.next(ctx)
		if err != nil || enough(e) {
			return err
		}
		if e.Kind != holding {
			continue
		}
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.crew.tell(e.Worker); err != nil {
			return err
		}
	}
}

// holder waits for the next worker that has the lock, and leaves it there.
func (s *stage) holder(ctx context.Context) (event, error) {
	for {
		if e, err := s.next(ctx); err != nil || e.Kind == holding {
			return e, err
		}
	}
}

func increments(n int) func(event) bool {
	return func(e event) bool {
		if e.Kind == wrote {
			n--
		}
		return n == 0
	}
}
