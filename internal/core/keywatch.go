package core

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// ownWatchPause is the pause after a watch, or a read of the key, failed.
const ownWatchPause = 5 * time.Second

// keyWatch watches a key that only this session may delete, and reports when another client has
// deleted it.
type keyWatch struct {
	s    *Session
	key  string
	rev  int64 // the create_revision of the watched incarnation
	gone func()
	put  func(kv gateway.KeyValue) // after a put of the same incarnation; may be nil
	free func()                    // when the incarnation has left the session's lease; may be nil

	// recheck: an event may have been missed, so the key is read once the watch is created. Only
	// the stream's goroutine uses it.
	recheck bool

	mu   sync.Mutex
	stop func() // nil once stopped
}

// watchKey calls gone when the incarnation of key created at rev no longer exists, and free when it
// is no longer under the session's lease. It may call them more than once.
func (s *Session) watchKey(key string, rev int64, gone, free func()) (stop func()) {
	o := &keyWatch{s: s, key: key, rev: rev, gone: gone, free: free, stop: func() {}}
	o.watch(gateway.AtRevision(rev + 1))
	return o.end
}

// watchRecord ends the session when its record is deleted, or put as recordPut does not expect it.
func (s *Session) watchRecord(created, epoch int64) (stop func()) {
	o := &keyWatch{
		s: s, key: s.record, rev: created,
		gone: func() { s.end(ErrRevoked) }, stop: func() {},
	}
	o.put = func(kv gateway.KeyValue) { s.recordPut(kv) }
	o.watch(gateway.AtRevision(epoch + 1))
	return o.end
}

func (o *keyWatch) end() {
	o.mu.Lock()
	stop := o.stop
	o.stop = nil
	o.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (o *keyWatch) watch(opts ...gateway.Option) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stop == nil {
		return
	}
	stop, err := o.s.c.WatchFunc(o.key, o.handle, opts...)
	if err != nil { // the client is closed: the session ends at its deadline
		return
	}
	o.stop = stop
}

// handle runs in the goroutine that reads the client's stream.
func (o *keyWatch) handle(r gateway.WatchResponse) {
	switch {
	case errors.Is(r.Err, gateway.ErrCompacted): // events are lost: watch again, then read the key
		o.recheck = true
		o.watch()
	case r.Created && o.recheck:
		o.recheck = false
		o.s.Background(o.check)
	case r.Err != nil && !errors.Is(r.Err, gateway.ErrClosed): // may be temporary
		o.recheck = true
		o.s.Background(func(ctx context.Context) {
			o.failed(ctx, r.Err)
			o.watch()
		})
	}
	for _, ev := range r.Events {
		if ev.Deleted {
			o.gone()
		} else {
			o.found(ev.KV)
		}
	}
}

func (o *keyWatch) found(kv gateway.KeyValue) {
	switch {
	case kv.CreateRevision != o.rev:
		o.gone()
	case o.free != nil && kv.Lease != o.s.lease:
		o.free()
	case o.put != nil:
		o.put(kv)
	}
}

// check reads the key until there is an answer, because the watch does not report changes made
// while it was down. It reports the changes after the read, because it was created before.
func (o *keyWatch) check(ctx context.Context) {
	for again := false; o.wanted() && ctx.Err() == nil; {
		resp, err := o.s.c.Get(ctx, o.key)
		switch {
		case err != nil:
			o.failed(ctx, err)
			continue
		case len(resp.KVs) == 0 && !again:
			again = true // one answer does not end a hold
			continue
		case len(resp.KVs) == 0:
			o.gone()
		default:
			o.found(resp.KVs[0])
		}
		return
	}
}

// failed logs err and waits before the next attempt.
func (o *keyWatch) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		o.s.opt.Logger.Warn("session_watch_failed", "lease", o.s.lease, "err", err)
	}
	wait(ctx, ownWatchPause)
}

func (o *keyWatch) wanted() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stop != nil
}
