package gateway

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Watcher is a watch whose events wait until they are asked for.
type Watcher struct {
	c    *Client
	key  string
	opts []Option
	rev  int64

	mu       sync.Mutex
	wake     chan struct{} // an event or the end has come
	buf      []Event
	bytes    int
	progress int64 // all events up to here have come, and none behind it; 0: nothing new to tell
	next     int64 // where to go on after a pause
	err      error // why it ended
	stop     func()
	off      func() bool // takes back the hold on the caller's context
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
// event. Breaking out of the loop closes the watch. One loop at a time, over this or Responses.
//
// A reader that falls far behind costs memory only up to a bound; its events then come later, and none is lost unless
// they are compacted meanwhile (ErrCompacted).
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

// Responses gives what Events gives, the events that have come together in one response, and between them, with
// [ProgressNotify], how far the watch has come. The last pair has the error that ended the watch, and an empty response.
// Whoever notes the Revision of the last response may later go on at the next one with [AtRevision].
func (w *Watcher) Responses() iter.Seq2[WatchResponse, error] {
	return func(yield func(WatchResponse, error) bool) {
		defer w.Close()
		for {
			batch, progress, err := w.batch()
			if n := len(batch); n > 0 && !yield(WatchResponse{Events: batch, Revision: batch[n-1].KV.ModRevision}, nil) {
				return
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

// batch takes what has come, and goes on watching if that had been stopped.
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

// WatchOnce waits for one event of a key, or of a range of keys, from now on or from [AtRevision], and returns it. Without
// AtRevision it misses what happened before etcd had confirmed the watch. It takes the options of Watch.
func (c *Client) WatchOnce(ctx context.Context, key string, opts ...Option) (Event, error) {
	w, err := c.Watch(ctx, key, opts...)
	if err != nil {
		return Event{}, err
	}
	next, stop := iter.Pull2(w.Events())
	defer stop()
	ev, err, _ := next() // the last pair has an error: there is always one
	return ev, err
}
