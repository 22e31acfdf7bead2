package core

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// ownWatchPause is the pause after a watch, or a read of the key, failed.
const ownWatchPause = 5 * time.Second

// keyWatch is the reducer of a key that only this session may delete. It reports when another
// client has deleted it.
type keyWatch struct {
	s     *Session
	key   string
	rev   int64 // the create_revision of the watched incarnation
	gone  func()
	put   func(kv gateway.KeyValue) // after a put of the same incarnation; may be nil
	free  func()                    // when the incarnation has left the session's lease; may be nil
	cache *listwatch.Cache
}

// watchKey calls gone when the incarnation of key created at rev no longer exists, and free when it
// is no longer under the session's lease. It may call them more than once.
func (s *Session) watchKey(key string, rev int64, gone, free func()) (stop func()) {
	return (&keyWatch{s: s, key: key, rev: rev, gone: gone, free: free}).start(rev)
}

// watchRecord ends the session when its record is deleted, or put as recordPut does not expect it.
func (s *Session) watchRecord(created, epoch int64) (stop func()) {
	return (&keyWatch{
		s: s, key: s.record, rev: created,
		gone: func() { s.end(ErrRevoked) },
		put:  func(kv gateway.KeyValue) { s.recordPut(kv) },
	}).start(epoch)
}

// start watches the key, which is known as it was at a revision.
func (o *keyWatch) start(known int64) (stop func()) {
	o.cache = listwatch.New(o.s.c, o, []string{o.key})
	o.cache.StartAt(known)
	return o.cache.Close
}

// Read reads the key again if it finds nothing, because one answer does not end a hold.
func (o *keyWatch) Read(ctx context.Context) (*gateway.GetResponse, error) {
	resp, err := o.s.c.Get(ctx, o.key)
	if err == nil && len(resp.KVs) == 0 {
		resp, err = o.s.c.Get(ctx, o.key)
	}
	return resp, err
}

func (o *keyWatch) List(read *gateway.GetResponse) {
	if len(read.KVs) == 0 {
		o.gone()
		return
	}
	o.found(read.KVs[0])
}

func (o *keyWatch) Apply(events []gateway.Event) {
	for _, ev := range events {
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

func (o *keyWatch) Stale() { o.s.Background(o.recheck) }

// recheck watches and reads the key until there is an answer, because a failure may be temporary.
// It ends with the watch or the session.
func (o *keyWatch) recheck(ctx context.Context) {
	for {
		err := o.cache.Sync(ctx)
		if err == nil || errors.Is(err, gateway.ErrClosed) || ctx.Err() != nil {
			return
		}
		o.s.opt.Logger.Warn("session_watch_failed", "lease", o.s.lease, "err", err)
		wait(ctx, ownWatchPause)
		o.cache.Reset()
	}
}
