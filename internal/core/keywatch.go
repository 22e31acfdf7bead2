package core

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// ownWatchPause is how long after a watch, or a look at the key, was refused the next is asked for.
const ownWatchPause = 5 * time.Second

// keyWatch watches a key that only this session may delete, and tells when somebody else has.
type keyWatch struct {
	s    *Session
	key  string
	rev  int64 // the create_revision of the key that is meant
	gone func()
	put  func(kv gateway.KeyValue) // of a put of the same incarnation; may be nil
	free func()                    // the same incarnation is no longer under the session's lease; may be nil

	recheck bool // something may have been missed: look once the watch stands; only in the stream's goroutine

	mu   sync.Mutex
	stop func() // nil once stopped
}

// watchKey calls gone, perhaps more than once, when the incarnation of key created at rev is no longer there, and free when
// it is no longer under the session's lease.
func (s *Session) watchKey(key string, rev int64, gone, free func()) (stop func()) {
	o := &keyWatch{s: s, key: key, rev: rev, gone: gone, free: free, stop: func() {}}
	o.watch(gateway.AtRevision(rev + 1))
	return o.end
}

// watchRecord ends the session when its record goes, or is put as recordPut does not expect it.
func (s *Session) watchRecord(created, epoch int64) (stop func()) {
	o := &keyWatch{s: s, key: s.record, rev: created, gone: func() { s.end(ErrRevoked) }, stop: func() {}}
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
	if err != nil { // the client is closed: the deadline does the rest
		return
	}
	o.stop = stop
}

// handle runs in the goroutine that reads the client's stream.
func (o *keyWatch) handle(r gateway.WatchResponse) {
	switch {
	case errors.Is(r.Err, gateway.ErrCompacted): // what happened is lost: watch from now, then look at what is there
		o.recheck = true
		o.watch()
	case r.Created && o.recheck:
		o.recheck = false
		o.s.background(o.check)
	case r.Err != nil && !errors.Is(r.Err, gateway.ErrClosed): // a fault of the set-up that may pass
		o.recheck = true
		o.s.background(func(ctx context.Context) {
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

// check reads the key until that is answered: of what happened while nobody watched the watch does not tell. What happens
// after the read reaches it, since it stood before.
func (o *keyWatch) check(ctx context.Context) {
	for again := false; o.wanted() && ctx.Err() == nil; {
		resp, err := o.s.c.Get(ctx, o.key)
		switch {
		case err != nil:
			o.failed(ctx, err)
			continue
		case len(resp.KVs) == 0 && !again:
			again = true // the end of a hold does not rest on one answer
			continue
		case len(resp.KVs) == 0:
			o.gone()
		default:
			o.found(resp.KVs[0])
		}
		return
	}
}

// failed waits before the next attempt.
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
