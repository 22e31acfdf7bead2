package cron

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
)

// declare puts the first state of a name, so that the ticks from now on are known to be missed if
// none runs.
func (r *runner) declare(ctx context.Context, now time.Time) error {
	key := r.key(stateSetting)
	_, err := r.line.Session.Write(ctx, core.Write{
		If: []gateway.Cmp{
			r.place.Guard(), gateway.CmpCreateRevision(key, gateway.Equal, 0),
		},
		Then:         []gateway.Op{gateway.OpPut(key, encode(state{Last: now}))},
		Compensation: r.readsState,
	})
	return err
}

// readsState is the compensation of a write that need not be undone.
func (r *runner) readsState() []gateway.Op {
	return []gateway.Op{gateway.OpGet(r.key(stateSetting), gateway.CountOnly())}
}

// start starts the next attempt at a tick, and runs the function. One transaction starts it: it
// compares that the state is the one of v, in which the tick has not started or the attempt before
// has ended or is taken over, and that this replica is at the front of the line. It deletes the key
// of an attempt that is taken over, so that this can write nothing more.
func (r *runner) start(
	ctx context.Context, v view, run attempt, now time.Time,
) (failed bool, _ error) {
	s, asked := r.line.Session, time.Now()
	if err := s.Ready(ctx); err != nil {
		return false, err
	}
	key, _, free := s.ReserveKey(strings.TrimSuffix(r.prefix(runningSetting), "/"))
	w := core.Write{
		If: []gateway.Cmp{
			r.place.Guard(),
			gateway.CmpModRevision(r.key(stateSetting), gateway.Equal, v.revision),
		},
		Then: []gateway.Op{
			gateway.OpPut(key, []byte(run.Scheduled.Format(time.RFC3339Nano)),
				gateway.WithLease(s.Lease())),
		},
		Else:         []gateway.Op{gateway.OpGet(key)},
		Compensation: core.Deletion(key),
		OnResolved:   free,
	}
	st := v.state
	switch {
	case st.Running != nil && run.Key != "" && run.Key != key:
		w.Then = append(w.Then, gateway.OpDelete(run.Key))
	case st.Running != nil:
	case run.Trigger != nil:
		st.Count++
		w.If = append(w.If, gateway.CmpModRevision(r.key(triggerSetting), gateway.Equal, v.hand))
		w.Then = append(w.Then, gateway.OpDelete(r.key(triggerSetting)))
	default:
		st.Count++
		st.Last = run.Scheduled
		w.If = append(w.If, gateway.CmpModRevision(r.key(pauseSetting), gateway.Equal, v.paused))
	}
	run.Attempt++
	run.Key, run.Started, run.By = key, now, s.Info().String()
	run.Fence, run.Error = 0, ""
	st.Running = &run
	w.Then = append(w.Then, gateway.OpPut(r.key(stateSetting), encode(st)))

	fence, err := r.write(ctx, w, free)
	if err != nil || fence == 0 {
		return false, err
	}
	r.known, r.again = fence, line.Again{}
	hold, grip := s.Hold(key, fence, free)
	t := &Tick{r: r, state: st, hold: hold, grip: grip}
	return t.run(ctx, asked)
}

// write sends the write that starts an attempt, and returns the fence, or 0 if the state has
// changed.
func (r *runner) write(ctx context.Context, w core.Write, free func()) (fence int64, _ error) {
	out, err := r.line.Session.Write(ctx, w)
	switch {
	case errors.Is(err, gateway.ErrUncertain):
		return 0, err
	case err != nil:
		free()
		return 0, err
	case out.Applied:
		return out.Revision, nil
	}
	if own := out.Responses[0].Get.KVs; len(own) > 0 { // put by an earlier try
		return own[0].CreateRevision, nil
	}
	free()
	return 0, r.again.Wait(ctx)
}

var errNoResult = errors.New("the last attempt ended without a result")

// exhaust ends a tick that has no attempts left, in place of the replica that made the last one.
func (r *runner) exhaust(ctx context.Context, v view, now time.Time) error {
	last := v.state.Running
	rec := last.Record
	rec.Ended = now
	if rec.Error == "" {
		rec.Error = errNoResult.Error()
	}
	w := core.Write{
		If: []gateway.Cmp{
			r.place.Guard(),
			gateway.CmpModRevision(r.key(stateSetting), gateway.Equal, v.revision),
		},
		Then:         r.endOps(v.state, rec),
		Compensation: r.readsState,
	}
	if last.Key != "" {
		w.Then = append(w.Then, gateway.OpDelete(last.Key))
	}
	out, err := r.line.Session.Write(ctx, w)
	switch {
	case err != nil:
		return err
	case !out.Applied:
		return r.again.Wait(ctx)
	}
	r.known = out.Revision - 1
	return nil
}
