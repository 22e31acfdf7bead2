package line

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// watchesDirectly reports whether a member watches its predecessor instead of the line, see
// directWatchThreshold. It found count keys in the line, others of them of its own session. If the
// client already uses a mirror, one more waiter costs nothing.
func (l *Line) watchesDirectly(j Join, count int64, others int) bool {
	// The delay needs a mirror, because it runs from the time at which the mirror saw the holder
	// leave.
	return j.Exclusive && l.Delay <= 0 && count > directWatchThreshold+int64(others) &&
		!mirrors.InUse(l.mirrorID())
}

// waitForPredecessor returns nil when no member is ahead of me.
func (l *Line) waitForPredecessor(ctx context.Context, me Member) error {
	defer l.observeWait(ctx, me)()
	ctx, cancel := l.Session.Bound(ctx)
	defer cancel()
	for {
		before, err := l.predecessor(ctx, me)
		if err == nil && before != nil {
			err = l.awaitLeaving(ctx, me, *before)
		}
		switch {
		case errors.Is(err, errRemoved):
			return l.removed(ctx, me)
		case err != nil:
			return l.endCause(ctx, err)
		case before == nil:
			return nil
		}
	}
}

// predecessor returns the member right before me, or nil if there is none. Returns errRemoved when
// me is not in the line.
func (l *Line) predecessor(ctx context.Context, me Member) (*Member, error) {
	opts := []gateway.Option{
		gateway.Prefix(), gateway.KeysOnly(), gateway.MaxCreateRevision(me.Fence),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Descend),
	}
	c := l.Session.Client()
	resp, err := c.Get(ctx, l.prefix(), append(opts, gateway.Limit(frontKeys))...)
	if err != nil {
		return nil, err
	}
	last := snapshotOf(resp, l.prefix()).Members
	if len(last) < 2 && resp.More {
		if resp, err = c.Get(ctx, l.prefix(), opts...); err != nil {
			return nil, err
		}
		last = snapshotOf(resp, l.prefix()).Members
	}
	switch n := len(last); {
	case n == 0 || !last[n-1].is(me):
		return nil, errRemoved
	case n == 1:
		return nil, nil
	default:
		return &last[n-2], nil
	}
}

// awaitLeaving returns nil when one of the two members may have left.
func (l *Line) awaitLeaving(ctx context.Context, me, before Member) error {
	p := &pair{me: me, before: before, left: make(chan struct{}, 1)}
	p.Cache = listwatch.New(l.Session.Client(), p, []string{me.Key, before.Key})
	defer p.Close()
	if err := p.Sync(ctx); err != nil {
		return err
	}
	select {
	case <-p.left:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}

// pair is the reducer of a member that waits and its predecessor. Reading both keys is cheaper than
// [Line.predecessor], for which the server scans the whole line.
type pair struct {
	*listwatch.Cache
	me, before Member
	left       chan struct{} // receives when one of them may have left
}

func (p *pair) List(read *gateway.GetResponse) {
	if len(read.KVs) < 2 || !p.has(read.KVs[0]) || !p.has(read.KVs[1]) {
		signal(p.left)
	}
}

func (p *pair) Apply(events []gateway.Event) {
	for _, ev := range events {
		if ev.Deleted || !p.has(ev.KV) {
			signal(p.left)
		}
	}
}

func (p *pair) Stale() { signal(p.left) }

func (p *pair) has(kv gateway.KeyValue) bool {
	m := Member{Key: kv.Key, Fence: kv.CreateRevision}
	return m.is(p.me) || m.is(p.before)
}
