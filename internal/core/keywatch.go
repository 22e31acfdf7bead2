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

// keyWatch is the reducer of a key that only this session may delete. It may call each of its
// functions more than once.
type keyWatch struct {
	*listwatch.Cache
	s    *Session
	rev  int64                     // the create_revision of the watched incarnation
	gone func()                    // when the incarnation no longer exists
	put  func(kv gateway.KeyValue) // after a put of the same incarnation; may be nil
	free func()                    // when the incarnation has left the session's lease; may be nil
}

// start watches the key, which is known as it was at a revision.
func (o *keyWatch) start(key string, known int64) (stop func()) {
	o.Cache = listwatch.New(o.s.c, o, []string{key})
	o.Patient = key == o.s.record // renewals show the loss of the lease, too
	o.StartAt(known)
	return o.Close
}

// Read reads the key again if it finds nothing, because one answer does not end a hold.
func (o *keyWatch) Read(ctx context.Context) (*gateway.GetResponse, error) {
	read, err := o.Cache.Read(ctx)
	if err == nil && len(read.KVs) == 0 {
		read, err = o.Cache.Read(ctx)
	}
	return read, err
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
		err := o.Sync(ctx)
		if err == nil || errors.Is(err, gateway.ErrClosed) || ctx.Err() != nil {
			return
		}
		o.s.opt.Logger.Warn("session_watch_failed", "lease", o.s.lease, "err", err)
		wait(ctx, ownWatchPause)
		o.Reset()
	}
}
