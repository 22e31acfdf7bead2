package line

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// predecessor returns the member right before me, or nil if there is none, and the revision of the
// read. Returns errRemoved when me is not in the line. left is as for [Line.lastKeys].
func (l *Line) predecessor(ctx context.Context, me Member, left *Member) (*Member, int64, error) {
	opts := []gateway.Option{
		gateway.Prefix(), gateway.KeysOnly(), gateway.MaxCreateRevision(me.Fence),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Descend),
	}
	resp, err := l.lastKeys(ctx, me, left, append(opts, gateway.Limit(frontKeys))...)
	if err != nil || resp == nil {
		return nil, 0, err
	}
	last := snapshotOf(resp, l.prefix()).Members
	if len(last) < 2 && resp.More {
		if resp, err = l.lastKeys(ctx, me, nil, opts...); err != nil {
			return nil, 0, err
		}
		last = snapshotOf(resp, l.prefix()).Members
	}
	switch n := len(last); {
	case n == 0 || !last[n-1].is(me):
		return nil, 0, errRemoved
	case n == 1:
		return nil, 0, nil
	default:
		return &last[n-2], resp.Revision, nil
	}
}

// awaitChange returns nil when a member of the pair may have left, or the settings may have
// changed, and errFirst when the predecessor has noted its admission.
func (l *Line) awaitChange(ctx context.Context, p *pair, settings *settingsWatch) error {
	var ownDue <-chan time.Time
	var timer *time.Timer
	if p.seen > 0 {
		timer = time.NewTimer(ownFarDelay)
		defer timer.Stop()
		ownDue = timer.C
		p.Cache = l.watchFrom(p, p.before.Key, p.seen)
	} else {
		p.Cache = listwatch.New(l.Session.Client(), p, []string{p.me.Key, p.before.Key})
	}
	defer p.Close()
	if err := p.Sync(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-p.changed:
			if p.noted.Load() {
				return errFirst
			}
			return nil
		case <-ownDue:
			if own := l.watchOwn(ctx, p); own != nil {
				defer own.Close()
			} else {
				timer.Reset(ownFarDelay)
			}
		case <-settings.changes():
			return nil
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
	}
}

// watchOwn starts a watch of the member's own key at a read of it. A watch from p.seen would make
// etcd read all that was written since, and fails if that was compacted. Returns nil if the key
// could not be read. If the key is gone, watchOwn signals a change.
func (l *Line) watchOwn(ctx context.Context, p *pair) *listwatch.Cache {
	ctx, cancel := context.WithTimeout(ctx, ownReadTimeout)
	defer cancel()
	read, err := l.Session.Client().Get(ctx, p.me.Key, gateway.KeysOnly())
	if err != nil {
		return nil
	}
	if len(read.KVs) == 0 {
		signal(p.changed)
	}
	for _, kv := range read.KVs {
		p.look(kv)
	}
	return l.watchFrom(p, p.me.Key, read.Revision)
}

// watchFrom starts a watch of one key of a pair that was seen.
func (l *Line) watchFrom(p *pair, key string, revision int64) *listwatch.Cache {
	c := listwatch.New(l.Session.Client(), p, []string{key})
	c.Patient = true
	c.StartAt(revision)
	return c
}

// pair is the reducer of a member that waits and its predecessor. Reading both keys is cheaper than
// [Line.predecessor], for which the server scans the whole line. If seen is set, each key has a
// cache of its own, whose calls may overlap.
type pair struct {
	*listwatch.Cache
	me, before Member        // before is zero if it is not known
	waits      bool          // me is not admitted before the pair or the settings change
	lightFits  bool          // the rule may admit another member beside me
	seen       int64         // if not 0, both were in the line at this revision: watch from there
	read       int64         // if not 0, a put of the predecessor after this revision is its note
	noted      atomic.Bool   // the predecessor has noted its admission
	left       atomic.Bool   // the predecessor has left
	changed    chan struct{} // receives after a change
}

func (p *pair) List(read *gateway.GetResponse) {
	if len(read.KVs) < 2 {
		there := func(kv gateway.KeyValue) bool { return kv.Key == p.before.Key }
		p.change(p.seen == 0 && !slices.ContainsFunc(read.KVs, there))
	}
	for _, kv := range read.KVs {
		p.look(kv)
	}
}

func (p *pair) Apply(events []gateway.Event) {
	for _, ev := range events {
		if ev.Deleted {
			p.change(ev.KV.Key == p.before.Key)
		}
		p.look(ev.KV)
	}
}

func (p *pair) Stale() { signal(p.changed) }

// look signals a change if a key that exists belongs to another member or was put again.
func (p *pair) look(kv gateway.KeyValue) {
	m := Member{Key: kv.Key, Fence: kv.CreateRevision}
	if p.read > 0 && m.is(p.before) && kv.ModRevision > p.read {
		p.noted.Store(true)
		signal(p.changed)
	}
	if !m.is(p.me) && !m.is(p.before) {
		p.change(m.Key == p.before.Key)
	}
}

func (p *pair) change(left bool) {
	if left {
		p.left.Store(true)
	}
	signal(p.changed)
}
