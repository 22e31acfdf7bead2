package cron

import (
	"context"
	"time"

	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/line"
)

// runner is a replica at the front of the line.
type runner struct {
	*Cron
	line   *line.Line
	place  line.Hold
	copied *lineCopy
	fn     function

	known  int64     // the revision of a state that this replica has replaced since
	failed int64     // the revision of the state with the failed attempt that it has seen
	seen   time.Time // when it saw that
	again  line.Again
}

// view is the record of the name, as the runner sees it.
type view struct {
	state    state
	revision int64 // of the state, or 0 if there is none
	pause    pause
	paused   int64    // the revision of the pause, or 0
	trigger  *Request // nil if there is none
	hand     int64    // the revision of the trigger
}

// maxSleep is the longest sleep between two looks at the clock, because the clock may be set, and
// timers stop while the machine sleeps.
const maxSleep = time.Minute

// run starts ticks until an attempt fails or the place is lost.
func (r *runner) run(ctx context.Context) error {
	for {
		snapshot, known, err := r.copied.get()
		var wait time.Duration
		failed := false
		switch {
		case err != nil:
			return err
		case !known:
			wait = maxSleep
		default:
			v, err := r.read(snapshot)
			if err != nil {
				return err
			}
			wait, failed, err = r.step(ctx, v)
			if err != nil {
				return err
			}
		}
		if failed {
			return nil
		}
		if err := r.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// wait returns when the line changes, after d, or with the error of ctx.
func (r *runner) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(min(d, maxSleep))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.copied.wake:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return ctxerr.Of(ctx)
	}
	return nil
}

func (r *runner) read(s line.Snapshot) (v view, err error) {
	if value, ok := s.Settings[stateSetting]; ok {
		v.revision = s.Puts[stateSetting].Revision
		if v.state, err = decodeState(r.key(stateSetting), value); err != nil {
			return v, err
		}
	}
	if value, ok := s.Settings[pauseSetting]; ok {
		v.paused = s.Puts[pauseSetting].Revision
		if err := decode(r.key(pauseSetting), value, &v.pause); err != nil {
			return v, err
		}
	}
	if value, ok := s.Settings[triggerSetting]; ok {
		v.hand, v.trigger = s.Puts[triggerSetting].Revision, new(Request)
		if err := decode(r.key(triggerSetting), value, v.trigger); err != nil {
			return v, err
		}
	}
	return v, nil
}

// step does what is due, or returns the time until something is. failed means that an attempt has
// failed.
func (r *runner) step(ctx context.Context, v view) (wait time.Duration, failed bool, _ error) {
	now := clock.Wall(ctx)
	run := v.state.Running
	switch {
	case v.revision > 0 && v.revision <= r.known: // the copy is older than the last write
		return maxSleep, false, nil
	case v.revision == 0:
		return maxSleep, false, r.declare(ctx, now)
	case run != nil && run.Key == "" && run.Error != "" && run.Attempt < r.opt.MaxAttempts:
		if r.failed != v.revision {
			r.failed, r.seen = v.revision, time.Now()
		}
		if left := r.opt.Backoff(run.Attempt) - time.Since(r.seen); left > 0 {
			return left, false, nil
		}
	case run != nil:
	case v.trigger != nil:
		run = &attempt{Record: Record{Scheduled: v.trigger.At, Trigger: v.trigger}}
	case v.pause.Paused:
		return maxSleep, false, nil
	default:
		last := v.state.Last
		if v.pause.At.After(last) { // the ticks of a pause are skipped
			last = v.pause.At
		}
		tick, due, err := r.due(last, now.Add(-r.jitter()))
		switch {
		case err != nil || tick.IsZero():
			return maxSleep, false, err
		case !due:
			return tick.Add(r.jitter()).Sub(now), false, nil
		}
		run = &attempt{Record: Record{Scheduled: tick}}
	}
	if run.Attempt >= r.opt.MaxAttempts {
		return 0, false, r.exhaust(ctx, v, now)
	}
	failed, err := r.start(ctx, v, *run, now)
	return 0, failed, err
}
