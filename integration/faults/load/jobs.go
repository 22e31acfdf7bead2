package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// slot is the time for which all parties call one name of Once.
const slot = 500 * time.Millisecond

// Period is the time between two ticks of Cron.
const Period = 250 * time.Millisecond

// errFails is the error of the functions that fail now and then.
var errFails = errors.New("the load lets this one fail")

func soon(int) time.Duration { return 5 * pace }

// onces calls Do for a name that all parties call at about the same time.
func (w *worker) onces() {
	runner := *w // it calls within a call of w
	runner.name += "-run"
	for w.rest(slot / 2) {
		unit := strconv.FormatInt(time.Now().UnixNano()/int64(slot), 10)
		ctx, cancel := w.patience(16)
		op := w.begin(Once, history.Do, func(o *history.Op) { o.Value = unit })
		res, err := once.New(w.s, history.UnitName(Once, unit), &once.Options{Backoff: soon}).Do(ctx,
			func(_ context.Context, run *once.Run) ([]byte, error) {
				return nil, runner.completes(Once, unit, run, run.Attempt(),
					func(ctx context.Context, token []byte, done gateway.Op) error {
						return run.Complete(ctx, token, done)
					})
			})
		cancel()
		w.rec.End(op, got(err), err, func(o *history.Op) {
			if err == nil {
				o.Fence, o.Attempt, o.Result = res.Fence, res.Attempt, string(res.Value)
			}
		})
	}
}

// ticks runs a replica of Cron, with sessions of its own, until the end of the load.
func (p *Party) ticks() error {
	w := &worker{Party: p, ctx: p.work, name: p.cfg.Name + "/cron"}
	err := cron.New(Cron, cron.Every(Period), &cron.Options{
		Missed: cron.MissedAll, MaxAttempts: 1000, Backoff: soon, Session: p.options(),
	}).Run(p.work, p.client, func(_ context.Context, tick *cron.Tick) error {
		unit := strconv.FormatInt(tick.Scheduled().UnixNano(), 10)
		return w.completes(Cron, unit, tick, tick.Attempt(),
			func(ctx context.Context, _ []byte, done gateway.Op) error {
				return tick.Complete(ctx, done)
			})
	})
	if p.work.Err() == nil {
		return fmt.Errorf("the replica of %s: %w", p.cfg.Name, err)
	}
	return nil
}

// completes works under a hold, and completes a unit of work with a write. Now and then it fails
// without that.
func (w *worker) completes(
	place, unit string, h session.Hold, attempt int,
	complete func(ctx context.Context, token []byte, done gateway.Op) error,
) error {
	of := func(o *history.Op) { o.Key, o.Fence, o.Value = h.Key(), h.Fence(), unit }
	begun := history.Op{
		Client: w.name, Lease: w.lease, Place: place, Verb: history.Lock, Attempt: attempt,
	}
	of(&begun)
	w.rec.Note(begun)
	defer w.watchLoss(place, h)()
	w.rest(pace)
	if rand.N(20) == 0 {
		op := w.begin(place, history.Unlock, of)
		w.rec.End(op, history.OK, nil, nil)
		return errFails
	}
	op := w.begin(place, history.Ack, of)
	ctx, cancel := w.finish()
	defer cancel()
	token := []byte(op.Token())
	err := complete(ctx, token, gateway.OpPut(history.DoneKey(place, unit), token))
	w.rec.End(op, outcome(err), err, nil)
	return err
}
