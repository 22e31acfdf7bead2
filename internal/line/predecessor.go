package line

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

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

// awaitChange returns nil when one of the two members may have left. If read is not 0, it also
// returns when the predecessor may have put its key after that revision.
func (l *Line) awaitChange(
	ctx context.Context, me, before Member, read int64, settings *settingsWatch,
) error {
	p := &pair{me: me, before: before, read: read, changed: make(chan struct{}, 1)}
	p.Cache = listwatch.New(l.Session.Client(), p, []string{me.Key, before.Key})
	defer p.Close()
	if err := p.Sync(ctx); err != nil {
		return err
	}
	select {
	case <-p.changed:
		return nil
	case <-settings.changes():
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
	read       int64
	changed    chan struct{} // receives after a change
}

func (p *pair) List(read *gateway.GetResponse) {
	if len(read.KVs) < 2 {
		signal(p.changed)
	}
	for _, kv := range read.KVs {
		p.look(kv)
	}
}

func (p *pair) Apply(events []gateway.Event) {
	for _, ev := range events {
		if ev.Deleted {
			signal(p.changed)
		}
		p.look(ev.KV)
	}
}

func (p *pair) Stale() { signal(p.changed) }

// look signals a change if a key that exists belongs to another member or was put again.
func (p *pair) look(kv gateway.KeyValue) {
	m := Member{Key: kv.Key, Fence: kv.CreateRevision}
	again := p.read > 0 && kv.Key == p.before.Key && kv.ModRevision > p.read
	if !m.is(p.me) && !m.is(p.before) || again {
		signal(p.changed)
	}
}
