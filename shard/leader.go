package shard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
)

// settleTime is the time between the first change of a group and the assignment that follows. A
// member that heals itself returns within it and keeps its shards, and members that start together
// cause one assignment. A drain has no such pause, because the shards stay with their owner.
const settleTime = 300 * time.Millisecond

// lead waits to be the leader of the group, and assigns the shards then. It returns nil when ctx
// ends, and an error that ends the run.
func (r *runner) lead(ctx context.Context) error {
	for again := (line.Again{}); ; {
		err := r.term(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrMismatch):
			return err
		}
		if again.Wait(ctx) != nil {
			return nil
		}
	}
}

// term is one term of a leader.
func (r *runner) term(ctx context.Context) (err error) {
	l := line.Line{
		Session: r.session, Name: r.group + "//leader", Kind: "shard leader", Rule: line.Exclusive,
		Checked: true,
	}
	h, err := l.Enter(ctx, line.Join{Value: r.id, Exclusive: true, Standby: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Finish(ctx, h.Grip, h.Grip.Release)) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.Context(), func() { //nolint:contextcheck // the hold's own life
		cancel(h.Err())
	})()
	read, err := r.client.Get(ctx, tableKey(r.group))
	if err != nil {
		return err
	}
	now := decodeTable(read.KVs)
	if err := now.checkN(r.n); err != nil {
		return err
	}
	return r.govern(ctx, h, now)
}

// govern writes an assignment after each change of the group that needs one. now is the assignment
// that is stored.
func (r *runner) govern(ctx context.Context, h line.Hold, now table) error {
	ctx, cancel := context.WithCancel(ctx)
	watches := []func(context.Context, *inputs) error{r.watchGroup, r.watchTable, r.watchLoads}
	in, failed := newInputs(), make(chan error, len(watches))
	var watchers sync.WaitGroup
	for _, watch := range watches {
		watchers.Go(func() { failed <- watch(ctx, in) })
	}
	defer func() { cancel(); watchers.Wait() }()
	put := func(t table) error {
		op := gateway.OpPut(tableKey(r.group), t.encode())
		_, err := h.Txn(ctx, gateway.Txn{Then: []gateway.Op{op}})
		return err
	}
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	for waiting := true; ; {
		select {
		case <-in.wake:
			if in.takeGone() && now.N > 0 {
				if err := put(now); err != nil {
					return err
				}
			}
			next, drains, ok := in.decide(r.n, now)
			switch {
			case !ok || now.N > 0 && next.moves(now) == 0:
			case drains:
				settled.Reset(0)
				waiting = true
			case !waiting:
				settled.Reset(settleTime)
				waiting = true
			}
		case <-settled.C:
			waiting = false
			next, _, ok := in.decide(r.n, now)
			if !ok || now.N > 0 && next.moves(now) == 0 {
				continue // the member is back
			}
			if err := put(next); err != nil {
				return err
			}
			now = next
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
