package history

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Watcher records all events of one member, from the first revision on. It is safe for concurrent
// use.
type Watcher struct {
	clock  Clock
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	log     Log
	err     error
	changed chan struct{} // closed and replaced at each change
}

// Watch starts a watcher. It continues after lost connections and restarts of the member, until
// Stop.
func Watch(clock Clock, client *clientv3.Client) *Watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{clock: clock, cancel: cancel, changed: make(chan struct{})}
	w.done.Go(func() {
		for resp := range client.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(1)) {
			w.add(resp)
		}
	})
	return w
}

func (w *Watcher) add(resp clientv3.WatchResponse) {
	now := w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := resp.Err(); err != nil {
		w.err = err
	}
	for _, ev := range resp.Events {
		if n := len(w.log); n == 0 || w.log[n-1].Rev != ev.Kv.ModRevision {
			w.log = append(w.log, Revision{Rev: ev.Kv.ModRevision, At: now})
		}
		e := Event{Key: string(ev.Kv.Key), Deleted: ev.Type == clientv3.EventTypeDelete}
		if !e.Deleted {
			e.Value, e.Create, e.Version, e.Lease = string(ev.Kv.Value), ev.Kv.CreateRevision,
				ev.Kv.Version, ev.Kv.Lease
		}
		last := &w.log[len(w.log)-1]
		last.Events = append(last.Events, e)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// Until waits until the watcher has received the revision. It returns an error if the watch fails,
// or ctx ends, before that.
func (w *Watcher) Until(ctx context.Context, rev int64) error {
	for {
		w.mu.Lock()
		var last int64
		if n := len(w.log); n > 0 {
			last = w.log[n-1].Rev
		}
		err, changed := w.err, w.changed
		w.mu.Unlock()
		switch {
		case last >= rev:
			return nil
		case err != nil:
			return fmt.Errorf("the watch ended at revision %d of %d: %w", last, rev, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the watch is at revision %d of %d: %w", last, rev,
				context.Cause(ctx))
		}
	}
}

// Seen returns the time of the last deletion of a key that the watcher received at or after from,
// or 0.
func (w *Watcher) Seen(from int64, deleted string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.log) - 1; i >= 0 && w.log[i].At >= from; i-- {
		for _, ev := range w.log[i].Events {
			if ev.Deleted && ev.Key == deleted {
				return w.log[i].At
			}
		}
	}
	return 0
}

// Stop ends the watcher and returns its log.
func (w *Watcher) Stop() Log {
	w.cancel()
	w.done.Wait()
	return w.log
}

// ms formats a number of nanoseconds.
func ms(ns int64) string { return time.Duration(ns).Round(time.Millisecond).String() }
