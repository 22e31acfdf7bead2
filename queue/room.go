package queue

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// awaitRoom waits until there may be room for n more items.
func (q *Queue) awaitRoom(ctx context.Context, n int) error {
	if n > q.opt.MaxLength {
		return tooLarge("%d items at once in a queue of at most %d", n, q.opt.MaxLength)
	}
	ctx, cancel := q.bound(ctx)
	defer cancel()
	wake, broken := make(chan struct{}, 1), make(chan error, 1)
	stop, err := q.s.Client().WatchFunc(q.keys.delayed, func(r gateway.WatchResponse) {
		switch {
		case r.Err != nil:
			broken <- r.Err // it is the last
		case r.Created || slices.ContainsFunc(r.Events, func(ev gateway.Event) bool { return ev.Deleted }):
			signal(wake)
		}
	}, gateway.Range(until(q.keys.items)))
	if err != nil {
		return err
	}
	defer stop()
	for {
		select {
		case <-wake:
		case err := <-broken:
			if errors.Is(err, gateway.ErrCompacted) {
				return nil
			}
			return err
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
		resp, err := q.s.Client().Txn(ctx, gateway.Txn{Then: q.countItems()})
		if err != nil || total(resp.Responses)+int64(n) <= int64(q.opt.MaxLength) {
			return err
		}
	}
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
