package shard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/member"
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
		Checked: true, Standby: true,
	}
	h, err := l.Enter(ctx, line.Join{Value: r.id, Exclusive: true})
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
	views, gone, failed := make(chan []node, 1), make(chan struct{}, 1), make(chan error, 2)
	var watchers sync.WaitGroup
	watchers.Go(func() { failed <- r.watchGroup(ctx, views) })
	watchers.Go(func() { failed <- r.watchTable(ctx, gone) })
	defer func() { cancel(); watchers.Wait() }()
	put := func(t table) error {
		op := gateway.OpPut(tableKey(r.group), t.encode())
		_, err := h.Txn(ctx, gateway.Txn{Then: []gateway.Op{op}})
		return err
	}
	var members []node
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	for waiting := true; ; {
		select {
		case members = <-views:
			next := assign(r.n, members, now)
			switch {
			case next.moves(now) == 0:
			case drains(members, now):
				settled.Reset(0)
				waiting = true
			case !waiting:
				settled.Reset(settleTime)
				waiting = true
			}
		case <-settled.C:
			waiting = false
			next := assign(r.n, members, now)
			if len(members) == 0 || now.N > 0 && next.moves(now) == 0 {
				continue // the member is back
			}
			if err := put(next); err != nil {
				return err
			}
			now = next
		case <-gone:
			if now.N == 0 {
				continue
			}
			if err := put(now); err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watchTable sends when the assignment does not exist, for example because it was deleted by hand,
// and returns the error that ended it.
func (r *runner) watchTable(ctx context.Context, gone chan<- struct{}) error {
	for t, err := range followTable(ctx, r.client, r.group) {
		switch {
		case err != nil:
			return err
		case t.N > 0:
			continue
		}
		select {
		case gone <- struct{}{}:
		default:
		}
	}
	return nil
}

// drains reports whether a member that has shards takes none any more, although it lives.
func drains(members []node, now table) bool {
	for _, m := range members {
		if m.weight == 0 && len(now.of(m.ID)) > 0 {
			return true
		}
	}
	return false
}

// watchGroup sends the members after each change, and returns the error that ended it. A view that
// was not received yet is replaced.
func (r *runner) watchGroup(ctx context.Context, views chan []node) error {
	for v, err := range member.Observe(ctx, r.client, r.group) {
		if err != nil {
			return err
		}
		members := make([]node, len(v.Members))
		for i, m := range v.Members {
			members[i] = node{m.ID, m.Zone, m.Weight}
		}
		select {
		case <-views:
		default:
		}
		views <- members
	}
	return nil
}
