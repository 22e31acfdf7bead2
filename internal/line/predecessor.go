package line

import (
	"cmp"
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// crowd is the number of members of other sessions above which a member waits without a mirror. If
// each client of a long line had a mirror, etcd would send every event of the line to all of them,
// and each would read the whole line. An exclusive member therefore watches only its own key and
// its predecessor's, and reads the line again at the end.
const crowd = 16

// crowded reports whether a member waits without a mirror. It found count keys in the line, others
// of them of its own session. If the client already uses a mirror, one more waiter costs nothing.
func (l *Line) crowded(j Join, count int64, others int) bool {
	// The delay needs a mirror, because it runs from the time at which the mirror saw the holder
	// leave.
	if !j.Exclusive || l.Delay > 0 || count <= crowd+int64(others) {
		return false
	}
	mirrors.Lock()
	defer mirrors.Unlock()
	m := mirrors.m[l.mirrorID()]
	if m == nil {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users == 0
}

// waitForPredecessor returns nil when no member is ahead of me.
func (l *Line) waitForPredecessor(ctx context.Context, me Member) error {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	var own, ahead *keyWatch
	defer func() { own.end(); ahead.end() }()
	for {
		var err error
		if own, err = l.see(ctx, own, me); err != nil {
			return l.endCause(ctx, err)
		}
		before, err := l.ahead(ctx, me)
		switch {
		case errors.Is(err, errRemoved):
			return cmp.Or(l.Session.Verify(ctx), errRemoved)
		case err != nil:
			return l.endCause(ctx, err)
		case before == nil:
			return nil
		}
		if ahead, err = l.see(ctx, ahead, *before); err != nil {
			return l.endCause(ctx, err)
		}
		still, err := l.there(ctx, me, *before)
		switch {
		case err != nil:
			return l.endCause(ctx, err)
		case !still: // it left before the watch began
			continue
		}
		select {
		case <-own.changed:
		case <-ahead.changed:
		case <-ctx.Done():
			return l.endCause(ctx, ctxerr.Of(ctx))
		}
	}
}

// ahead returns the member right before me, or nil if there is none. Returns errRemoved when me is
// not in the line.
func (l *Line) ahead(ctx context.Context, me Member) (*Member, error) {
	const look = 8 // it reads more only if keys of other lines lie below this line
	opts := []gateway.Option{
		gateway.Prefix(), gateway.KeysOnly(), gateway.MaxCreateRevision(me.Fence),
		gateway.SortBy(gateway.SortCreateRevision, gateway.Descend),
	}
	resp, err := l.Session.Client().Get(ctx, l.prefix(), append(opts, gateway.Limit(look))...)
	if err != nil {
		return nil, err
	}
	last := viewOf(resp, l.prefix()).Members
	if len(last) < 2 && resp.More {
		if resp, err = l.Session.Client().Get(ctx, l.prefix(), opts...); err != nil {
			return nil, err
		}
		last = viewOf(resp, l.prefix()).Members
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

// there reports whether both members are in the line. It is cheaper than [Line.ahead], for which
// the server scans the whole line.
func (l *Line) there(ctx context.Context, a, b Member) (bool, error) {
	resp, err := l.Session.Client().Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(a.Key, gateway.KeysOnly()), gateway.OpGet(b.Key, gateway.KeysOnly()),
	}})
	if err != nil {
		return false, err
	}
	for i, m := range []Member{a, b} {
		if kvs := resp.Responses[i].Get.KVs; len(kvs) == 0 || kvs[0].CreateRevision != m.Fence {
			return false, nil
		}
	}
	return true, nil
}

// keyWatch is a watch of one member.
type keyWatch struct {
	Member
	stop    func()
	created chan struct{} // closed when the watch is created
	ended   chan struct{} // closed when the watch has ended, with err
	err     error
	changed chan struct{} // receives when the member may have left
}

// see returns a watch of m once it is created. It returns old if that is a live watch of m, and
// stops it otherwise.
func (l *Line) see(ctx context.Context, old *keyWatch, m Member) (*keyWatch, error) {
	if old.of(m) {
		return old, nil
	}
	old.end()
	s := &keyWatch{
		Member:  m,
		created: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	stop, err := l.Session.Client().WatchFunc(m.Key, s.take)
	if err != nil {
		return nil, err
	}
	s.stop = stop
	select {
	case <-s.created:
	case <-s.ended:
	case <-ctx.Done():
		return s, ctxerr.Of(ctx)
	}
	select {
	case <-s.ended:
		if !errors.Is(s.err, gateway.ErrCompacted) {
			return s, s.err
		}
	default:
	}
	return s, nil
}

// take runs in the goroutine that reads the client's stream.
func (s *keyWatch) take(r gateway.WatchResponse) {
	switch {
	case r.Err != nil:
		s.err = r.Err
		close(s.ended)
		signal(s.changed)
	case r.Created:
		close(s.created)
	}
	for _, ev := range r.Events {
		if ev.Deleted || ev.KV.CreateRevision != s.Fence {
			signal(s.changed)
		}
	}
}

// of reports whether s is a live watch of m.
func (s *keyWatch) of(m Member) bool {
	if s == nil || !s.is(m) {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

func (s *keyWatch) end() {
	if s != nil {
		s.stop()
	}
}
