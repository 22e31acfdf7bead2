package main

import (
	"context"
	"time"
)

// director shows the reports of the workers and answers them.
type director struct {
	workers  *workers
	timeline *timeline
}

func (d *director) next(ctx context.Context) (event, error) {
	select {
	case e := <-d.workers.events:
		d.timeline.show(e)
		return e, nil
	case err := <-d.workers.failed:
		return event{}, err
	case <-ctx.Done():
		return event{}, context.Cause(ctx)
	}
}

// pace is the time that each increment takes, so that a person can follow the output.
const pace = 80 * time.Millisecond

// until lets the workers write until enough returns true.
func (d *director) until(ctx context.Context, enough func(event) bool) error {
	for {
		e, err := d.next(ctx)
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
		if err := d.workers.letWrite(e.Worker); err != nil {
			return err
		}
	}
}

// holder waits for the next worker that holds the lock, and does not let it write.
func (d *director) holder(ctx context.Context) (event, error) {
	for {
		if e, err := d.next(ctx); err != nil || e.Kind == holding {
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
