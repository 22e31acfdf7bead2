package main

import (
	"context"
	"time"
)

// stage shows the reports of the crew and answers them.
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

// pace is the time that each increment takes, so that a person can follow the output.
const pace = 80 * time.Millisecond

// until lets the workers write until enough returns true.
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

// holder waits for the next worker that holds the lock, and does not let it write.
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
