package gateway

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// Watcher is a watch whose events are buffered until they are read. Only one loop at a time may
// read it; Close and Revision are safe for concurrent use.
type Watcher struct {
	c    *Client
	key  string
	opts []Option
	rev  int64

	mu       sync.Mutex
	wake     chan struct{} // an event, or the end, is there
	buf      []Event
	bytes    int
	progress int64 // all events up to it were read; 0: not new
	next     int64 // where to continue after a pause
	err      error // why it ended
	stop     func()
	off      func() bool // releases the caller's context
}

// watchBuffer bounds, in bytes, the events that wait for a slow reader. Above it the watch is
// canceled, and created again after the last event once the reader has caught up.
const watchBuffer = 16 << 20

// Watch watches a key, or a range of keys with [Prefix], [Range] or [FromKey], from now on or from
// [AtRevision]. It returns once the server has confirmed the watch, and retries at other endpoints
// until ctx ends. ctx and Close end the watch. Returns ErrInvalid when an option or the key is
// wrong, ErrPermissionDenied when the user may not read the keys, and the context's error when ctx
// ends first. A revision that has been compacted is reported by Events.
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
		err := c.hub.contextEnded(ctx)
		stop()
		return nil, err
	}
	w.off = context.AfterFunc(ctx, func() { w.end(c.hub.contextEnded(ctx)) })
	return w, nil
}

// Revision returns the store's revision when the watch was created: the watch misses nothing after
// it.
func (w *Watcher) Revision() int64 { return w.rev }

// Events returns the events as they arrive, each with a nil error. The last pair has no event and
// the error that ended the watch: ErrCompacted, ErrPermissionDenied, ErrClosed after Close, or the
// context's error. Breaking out of the loop closes the watch. Only one loop at a time may run over
// this or Responses.
//
// For a slow reader, events are buffered up to a bound. Above it they are read from etcd later, and
// none is lost unless it is compacted meanwhile.
func (w *Watcher) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for r, err := range w.Responses() {
			for _, ev := range r.Events {
				if !yield(ev, nil) {
					return
				}
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
		}
	}
}

// Responses returns the same as Events, with the events that have arrived together in one response.
// Between them, with [ProgressNotify], it returns the progress of the watch. The last pair has an
// empty response and the error that ended the watch. A reader that keeps the Revision of the last
// response can continue later at the next revision with [AtRevision].
func (w *Watcher) Responses() iter.Seq2[WatchResponse, error] {
	return func(yield func(WatchResponse, error) bool) {
		defer w.Close()
		for {
			batch, progress, err := w.batch()
			if n := len(batch); n > 0 {
				r := WatchResponse{Events: batch, Revision: batch[n-1].KV.ModRevision}
				if !yield(r, nil) {
					return
				}
			}
			if progress > 0 && !yield(WatchResponse{Progress: true, Revision: progress}, nil) {
				return
			}
			if err != nil {
				yield(WatchResponse{}, err)
				return
			}
			if len(batch) == 0 && progress == 0 {
				<-w.wake
			}
		}
	}
}

// Close ends the watch. It may be called again, and while a loop over Events waits, which it ends
// with ErrClosed.
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

// take is called in the goroutine that reads the stream.
func (w *Watcher) take(r WatchResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = r.Err
	if r.Progress {
		w.progress = r.Revision
	}
	for _, ev := range r.Events {
		w.buf = append(w.buf, ev)
		w.bytes += eventOverhead + len(ev.KV.Key) + len(ev.KV.Value)
		if ev.PrevKV != nil {
			w.bytes += len(ev.PrevKV.Value)
		}
		w.progress, w.next = 0, ev.KV.ModRevision+1
	}
	if w.bytes > w.c.watchBuffer && w.stop != nil {
		w.stop()
		w.stop = nil
	}
	w.signal()
}

const eventOverhead = 128

// batch returns the buffered events, and continues watching if the buffer was full.
func (w *Watcher) batch() (batch []Event, progress int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, progress = w.buf, w.progress
	w.buf, w.bytes, w.progress = nil, 0, 0
	if w.stop == nil && w.err == nil && len(batch) == 0 {
		opts := slices.Concat(w.opts, []Option{AtRevision(w.next)})
		w.stop, w.err = w.c.WatchFunc(w.key, w.take, opts...)
	}
	return batch, progress, w.err
}

// WatchOnce waits for one event of a key, or of a range of keys, from now on or from [AtRevision],
// and returns it. Without AtRevision it misses events before the server has confirmed the watch. It
// takes the options of Watch. Returns the errors of [Client.Watch] and [Watcher.Events], and the
// context's error when ctx ends before an event.
func (c *Client) WatchOnce(ctx context.Context, key string, opts ...Option) (Event, error) {
	w, err := c.Watch(ctx, key, opts...)
	if err != nil {
		return Event{}, err
	}
	next, stop := iter.Pull2(w.Events())
	defer stop()
	ev, err, _ := next() // the last pair has an error, so a pair always follows
	return ev, err
}
