package queue

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// room knows the number of items while producers of a Queue wait for room: they count once, and a
// watch reports each change. It is kept for a while after that, because a queue that was full will
// be full again.
type room struct {
	mu    sync.Mutex
	users int
	full  int64        // the last revision at which there was no room, as far as is known
	watch *lengthWatch // nil if there is none
	idle  *time.Timer  // closes the watch; runs while there are no users
}

// lengthWatch is one watch of the items. Its mutex is that of the room.
type lengthWatch struct {
	room     *room
	stop     func()
	unlink   func() bool // from the session, whose end closes the watch
	created  bool
	err      error // why it has ended
	counting bool
	counted  int64 // the revision of the count, or 0; the watch may report earlier ones after it
	length   int64 // at the revision
	revision int64
	early    []lengthChange // events that came before the count
	changed  chan struct{}  // closed at the next change of any of these
}

type lengthChange struct{ revision, delta int64 }

// open returns the watch, for one user more.
func (r *room) open(p *producer) (*lengthWatch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil {
		w := &lengthWatch{room: r, changed: make(chan struct{})}
		stop, err := p.host.Client().WatchFunc(p.keys.delayed, func(resp gateway.WatchResponse) {
			w.take(&p.keys, resp)
		}, gateway.Range(until(p.keys.items)))
		if err != nil {
			return nil, err
		}
		w.stop = stop
		w.unlink = context.AfterFunc(p.host.Context(), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			w.close()
		})
		r.watch = w
	}
	r.users++
	if r.idle != nil {
		r.idle.Stop()
	}
	return r.watch, nil
}

func (r *room) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users--
	if r.users == 0 && r.watch != nil {
		r.idle = time.AfterFunc(idleRoom, r.closeIdle)
	}
}

func (r *room) closeIdle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == 0 && r.watch != nil {
		r.watch.close()
	}
}

// close ends the watch. The room is locked.
func (w *lengthWatch) close() {
	w.stop()
	w.unlink()
	if w.room.watch == w {
		w.room.watch = nil
	}
}

func (w *lengthWatch) take(k *keys, resp gateway.WatchResponse) {
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	w.created = w.created || resp.Created
	if resp.Err != nil {
		w.err = resp.Err
		w.close()
	}
	for _, ev := range resp.Events {
		c := lengthChange{revision: ev.KV.ModRevision}
		switch {
		case !strings.HasPrefix(ev.KV.Key, k.items) && !strings.HasPrefix(ev.KV.Key, k.delayed):
		case ev.Deleted:
			c.delta = -1
		case ev.KV.CreateRevision == ev.KV.ModRevision:
			c.delta = 1
		}
		if w.counted > 0 {
			w.apply(c)
		} else {
			w.early = append(w.early, c)
		}
	}
	w.signal()
}

func (w *lengthWatch) apply(c lengthChange) {
	if c.revision > w.counted {
		w.length += c.delta
		w.revision = c.revision
	}
}

func (w *lengthWatch) signal() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// setLength takes a count that was made after the watch was created, or its error.
func (w *lengthWatch) setLength(length, revision int64, err error) {
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	w.signal()
	w.counting = false
	if err != nil {
		return
	}
	w.counted, w.length, w.revision = revision, length, revision
	for _, c := range w.early {
		w.apply(c)
	}
	w.early = nil
}

// length returns the number of items at a revision. ok is false if it is not known.
func (r *room) length() (n, revision int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil || r.watch.counted == 0 {
		return 0, 0, false
	}
	return r.watch.length, r.watch.revision, true
}

// fullAt notes the revision at which there was no room, and returns ErrFull.
func (r *room) fullAt(revision int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = max(r.full, revision)
	return ErrFull
}

// awaitRoom waits until there may be room for an item.
func (p *producer) awaitRoom(ctx context.Context) error {
	ctx, cancel := p.host.Bound(ctx)
	defer cancel()
	w, err := p.room.open(p) //nolint:contextcheck // the watch is for other callers too
	if err != nil {
		return err
	}
	defer p.room.release()
	for {
		p.room.mu.Lock()
		err, changed := w.err, w.changed
		hasRoom := w.counted > 0 && w.length < int64(p.opt.MaxLength) && w.revision >= p.room.full
		counts := w.created && w.counted == 0 && !w.counting
		w.counting = w.counting || counts
		p.room.mu.Unlock()
		switch {
		case errors.Is(err, gateway.ErrCompacted):
			return nil
		case err != nil || hasRoom:
			return err
		case counts:
			n, revision, _, err := p.countItems(ctx)
			w.setLength(n, revision, err)
			if err != nil {
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctxerr.Of(ctx)
		}
	}
}

// followLength starts the watch in the background if there is none. A client has no background.
func (p *producer) followLength() {
	if _, ok := p.host.(*core.Session); !ok {
		return
	}
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	if p.room.watch != nil {
		return
	}
	p.host.Background(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, idleRoom)
		defer cancel()
		_ = p.awaitRoom(ctx) // it is there as long as idleRoom, for others
	})
}
