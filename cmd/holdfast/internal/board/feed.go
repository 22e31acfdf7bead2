package board

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// feed is the reducer that applies the keys with one prefix to a board.
type feed struct {
	*listwatch.Cache
	b      *Board
	prefix string
	what   string // its keys; empty for the names, which must be readable
	loaded *inspect.Loaded
	stale  chan struct{} // receives when the keys are to be loaded again
}

func newFeed(b *Board, prefix, what string) *feed {
	f := &feed{b: b, prefix: prefix, what: what, stale: make(chan struct{}, 1)}
	f.Cache = listwatch.New(b.client, f, []string{prefix}, gateway.Prefix())
	return f
}

// Read loads the keys.
func (f *feed) Read(ctx context.Context) (read *gateway.GetResponse, err error) {
	f.loaded, err = inspect.Load(ctx, f.b.client, f.prefix)
	if err != nil {
		return nil, err
	}
	return &gateway.GetResponse{Header: gateway.Header{Revision: f.loaded.Revision}}, nil
}

// List replaces the keys with the prefix by the loaded ones.
func (f *feed) List(*gateway.GetResponse) {
	b, loaded := f.b, f.loaded
	f.loaded = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear(f.prefix)
	for _, kv := range loaded.KVs {
		b.put(kv)
	}
	for _, count := range loaded.Counts {
		b.add(count.Key, count.N)
	}
	b.revision = max(b.revision, loaded.Revision)
	b.changed()
}

// Apply applies the events of one revision.
func (f *feed) Apply(events []gateway.Event) {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ev := range events {
		switch key := inspect.Classify(ev.KV.Key); {
		case key.Kind == inspect.KindOther, inspect.Payload(key):
			continue
		case key.Kind == inspect.KindItem, key.Kind == inspect.KindDelayed,
			key.Kind == inspect.KindDead:
			if ev.Deleted {
				b.add(key, -1)
			} else if ev.KV.Version == 1 {
				b.add(key, 1)
			}
		case ev.Deleted:
			b.remove(ev.KV.Key)
		default:
			b.put(ev.KV)
		}
		b.changed()
	}
	b.revision = max(b.revision, events[0].KV.ModRevision)
}

// Stale lets the keys be loaded again.
func (f *feed) Stale() {
	select {
	case f.stale <- struct{}{}:
	default:
	}
}

// pauses between two attempts to load the keys.
const (
	shortPause = 200 * time.Millisecond
	longPause  = 10 * time.Second
)

// load loads the keys for the first time.
func (f *feed) load(ctx context.Context) error {
	for {
		err := f.Sync(ctx)
		switch {
		case err == nil || f.note(err):
			return nil
		case !errors.Is(err, gateway.ErrCompacted):
			return err
		}
		wait(ctx, shortPause)
	}
}

// note records that the user may not read keys without which the board works. It returns false for
// another error.
func (f *feed) note(err error) bool {
	if f.what == "" || !errors.Is(err, gateway.ErrPermissionDenied) {
		return false
	}
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	f.b.notes[f.what] = "this user may not read " + f.what
	f.b.changed()
	return true
}

// follow loads the keys again each time that events were lost, until ctx ends.
func (f *feed) follow(ctx context.Context) {
	for pause := shortPause; ctx.Err() == nil; {
		err := f.Sync(ctx)
		if err != nil && ctx.Err() == nil {
			if !f.note(err) {
				f.b.mu.Lock()
				f.b.setProblem(f, err)
				f.b.mu.Unlock()
			}
			wait(ctx, pause)
			pause = min(2*pause, longPause)
			f.Reset()
			continue
		}
		pause = shortPause
		f.b.mu.Lock()
		if _, ok := f.b.notes[f.what]; ok {
			delete(f.b.notes, f.what)
			f.b.changed()
		}
		f.b.setProblem(f, nil)
		f.b.mu.Unlock()
		select {
		case <-f.stale:
		case <-ctx.Done():
		}
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
