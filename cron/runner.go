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
	for failed := false; !failed; {
		snapshot, known, err := r.copied.get()
		var wait time.Duration
		switch {
		case err != nil:
			return err
		case !known:
			wait = maxSleep
		default:
			wait, failed, err = r.step(ctx, snapshot)
		}
		if err == nil && !failed {
			err = r.wait(ctx, wait)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// step starts or ends the tick that is due, or returns the time until one is. failed means that an
// attempt has failed.
func (r *runner) step(
	ctx context.Context, s line.Snapshot,
) (wait time.Duration, failed bool, _ error) {
	v, err := r.read(s)
	now := clock.Wall(ctx)
	switch {
	case err != nil:
		return 0, false, err
	case v.revision == 0:
		return maxSleep, false, r.declare(ctx, now)
	case v.revision <= r.known: // the copy is older than the last write
		return maxSleep, false, nil
	}
	next, wait, err := r.choose(v, now)
	switch {
	case err != nil || next == nil:
		return wait, false, err
	case next.Attempt >= r.opt.MaxAttempts:
		return 0, false, r.exhaust(ctx, v, now)
	}
	failed, err = r.start(ctx, v, *next, now)
	return 0, failed, err
}

// choose returns the attempt before the one that is due, of which a new tick has none. If nothing
// is due, it returns nil and the time to wait.
func (r *runner) choose(v view, now time.Time) (_ *attempt, wait time.Duration, _ error) {
	switch running := v.state.Running; {
	case running != nil:
		if left := r.backOff(v); left > 0 {
			return nil, left, nil
		}
		return running, 0, nil
	case v.trigger != nil:
		return &attempt{Record: Record{Scheduled: v.trigger.At, Trigger: v.trigger}}, 0, nil
	case v.pause.Paused:
		return nil, maxSleep, nil
	}
	last := v.state.Last
	if v.pause.At.After(last) { // the ticks of a pause are skipped
		last = v.pause.At
	}
	tick, due, err := r.due(last, now.Add(-r.jitter()))
	switch {
	case err != nil || tick.IsZero():
		return nil, maxSleep, err
	case !due:
		return nil, tick.Add(r.jitter()).Sub(now), nil
	}
	return &attempt{Record: Record{Scheduled: tick}}, 0, nil
}

// backOff returns the rest of the pause after an attempt that failed. The pause begins when this
// replica sees the failure, because the clocks of two replicas differ.
func (r *runner) backOff(v view) time.Duration {
	last := v.state.Running
	if last.Error == "" || last.Attempt >= r.opt.MaxAttempts {
		return 0
	}
	if r.failed != v.revision {
		r.failed, r.seen = v.revision, time.Now()
	}
	return r.opt.Backoff(last.Attempt) - time.Since(r.seen)
}
