package line

import (
	"cmp"
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// crowd is how many members of others, more or less, make a line too long for mirrors: with one in each client, every event
// of the line would go to all of them, and a read of the line be as long as the line. A member that is admitted only when
// nobody is ahead of it then watches the one right ahead, and its own key, and nothing else; that costs a read at the end.
const crowd = 16

// crowded tells whether a member that found count keys in the line, others of them of its own session, is to wait without
// a mirror. Where the client has one in use, another waiter costs nothing.
func (l *Line) crowded(j Join, count int64, others int) bool {
	if !j.Exclusive || l.Delay > 0 || count <= crowd+int64(others) { // a delay begins with what a mirror has seen
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

// waitForPredecessor returns when nobody is ahead of the member.
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
		case !still: // since before it was watched
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

// ahead is the member right ahead, or nil. It is errRemoved if the member itself is not there.
func (l *Line) ahead(ctx context.Context, me Member) (*Member, error) {
	const look = 8 // more only where other lines lie below this one
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

// there tells whether both members are in the line. It costs less than [Line.ahead], for which the server looks at all of it.
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
	created chan struct{} // closed when it stands, or has ended
	ended   chan struct{} // closed when it has ended, with err
	err     error
	changed chan struct{} // the member has gone, perhaps
}

// see watches a member instead of the one before, if that is another or its watch has ended, and returns once it stands.
func (l *Line) see(ctx context.Context, old *keyWatch, m Member) (*keyWatch, error) {
	if old.of(m) {
		return old, nil
	}
	old.end()
	s := &keyWatch{Member: m, created: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{}, 1)}
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

// of tells whether the member is watched.
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
