package gateway

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Event is one change of a key.
type Event struct {
	// Deleted tells a deletion from a put. Of a deleted key, KV has only Key and ModRevision, the revision that deleted it.
	Deleted bool
	KV      KeyValue
	PrevKV  *KeyValue // with PrevKV(), and if the key existed and its history is not compacted
}

// WatchResponse is what a watch reports: that it stands, events, or its end.
type WatchResponse struct {
	// Created says that the watch stands and will miss nothing that happens after Revision. It comes first, once.
	Created  bool
	Revision int64
	// Events come in the order of their revisions. The events of one revision come together.
	Events []Event
	// Err ends the watch. It is ErrCompacted when events were lost to compaction, ErrPermissionDenied, ErrClosed, or
	// what kept the watch from being made.
	Err error
}

// WatchFunc watches a key, or a range of keys with [Prefix], [Range] or [FromKey], from now on or from [AtRevision].
// fn gets what happens, in order, from the goroutine that reads the client's one stream: it must not block.
//
// The watch outlives broken connections and unavailable members: it is resumed behind the last event. stop ends it;
// it may be called from fn, and a call of fn may be under way when it returns.
//
// A watch from a revision that lies behind is served by etcd every 100 ms only, until it has caught up; one from now on
// is served at once.
func (c *Client) WatchFunc(key string, fn func(WatchResponse), opts ...Option) (stop func(), err error) {
	op := opWatch(key, opts)
	if op.wrong != "" {
		return nil, invalid("watch", "option %s does not apply", op.wrong)
	}
	from, to, err := bounds(c.cfg.Namespace, key, op.span, op.end)
	switch {
	case err != nil:
		return nil, invalid("watch", "%v", err)
	case op.revision < 0:
		return nil, invalid("watch", "negative revision")
	}
	w := &watch{key: from, end: to, next: op.revision, prevKV: op.prevKV, fn: fn}
	if !c.hub.add(w) {
		return nil, &Error{Op: "watch", cause: ErrClosed}
	}
	return func() { c.hub.remove(w) }, nil
}

// Watcher is a watch whose events wait until they are asked for.
type Watcher struct {
	c    *Client
	key  string
	opts []Option
	rev  int64

	mu    sync.Mutex
	wake  chan struct{} // an event or the end has come
	buf   []Event
	bytes int
	next  int64 // where to go on after a pause
	err   error // why it ended
	stop  func()
	off   func() bool // takes back the hold on the caller's context
}

// watchBuffer bounds, in bytes, what waits for a slow reader. Beyond it the watch is taken back, and made again behind
// the last event once the reader has caught up.
const watchBuffer = 16 << 20

// Watch watches a key, or a range of keys with [Prefix], [Range] or [FromKey], from now on or from [AtRevision]. It
// returns once the server has confirmed the watch. ctx ends the watch; so does Close.
func (c *Client) Watch(ctx context.Context, key string, opts ...Option) (*Watcher, error) {
	w := &Watcher{c: c, key: key, opts: opts, wake: make(chan struct{}, 1)}
	created := make(chan WatchResponse, 1)
	first := true
	stop, err := c.WatchFunc(key, func(r WatchResponse) {
		if first {
			first = false
			created <- r
		}
		w.take(r)
	}, opts...)
	if err != nil {
		return nil, err
	}
	w.mu.Lock() // take is called already
	w.stop = stop
	w.mu.Unlock()
	select {
	case r := <-created:
		if r.Err != nil {
			return nil, r.Err
		}
		w.rev = r.Revision
	case <-ctx.Done():
		stop()
		return nil, &Error{Op: "watch", cause: ctxerr.Of(ctx)}
	}
	w.off = context.AfterFunc(ctx, func() { w.end(&Error{Op: "watch", cause: ctxerr.Of(ctx)}) })
	return w, nil
}

// Revision is the store's when the watch was made: it misses nothing that happened after it.
func (w *Watcher) Revision() int64 { return w.rev }

// Events gives the events as they come, each with a nil error; the last pair has the error that ended the watch, and no
// event. Breaking out of the loop closes the watch. One loop at a time.
//
// A reader that falls far behind costs memory only up to a bound; its events then come later, and none is lost unless
// they are compacted meanwhile (ErrCompacted).
func (w *Watcher) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		defer w.Close()
		for {
			batch, err := w.batch()
			for _, ev := range batch {
				if !yield(ev, nil) {
					return
				}
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			if len(batch) == 0 {
				<-w.wake
			}
		}
	}
}

// Close ends the watch. It may be called again, and while a loop over Events waits, which it ends with ErrClosed.
func (w *Watcher) Close() {
	w.off()
	w.end(&Error{Op: "watch", cause: ErrClosed})
}

func (w *Watcher) end(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	stop := w.stop
	w.stop = nil
	w.mu.Unlock()
	if stop != nil {
		stop()
	}
	w.signal()
}

func (w *Watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take runs in the goroutine that reads the stream.
func (w *Watcher) take(r WatchResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = r.Err
	for _, ev := range r.Events {
		w.buf = append(w.buf, ev)
		w.bytes += eventOverhead + len(ev.KV.Key) + len(ev.KV.Value)
		if ev.PrevKV != nil {
			w.bytes += len(ev.PrevKV.Value)
		}
		w.next = ev.KV.ModRevision + 1
	}
	if w.bytes > w.c.watchBuffer && w.stop != nil {
		w.stop()
		w.stop = nil
	}
	w.signal()
}

const eventOverhead = 128

// batch takes what has come, and goes on watching if that had been stopped.
func (w *Watcher) batch() ([]Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.buf
	w.buf, w.bytes = nil, 0
	if w.stop == nil && w.err == nil && len(batch) == 0 {
		opts := slices.Concat(w.opts, []Option{AtRevision(w.next)})
		w.stop, w.err = w.c.WatchFunc(w.key, w.take, opts...)
	}
	return batch, w.err
}
