package shard

import "sync"

// readers are the goroutines that read a copy. It is a part of each reducer.
type readers struct {
	mu     sync.Mutex // guards the reducer too
	synced bool       // the copy is complete
	all    map[chan struct{}]struct{}
}

// Stale wakes the readers. One of them completes the copy again.
func (r *readers) Stale() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced = false
	r.wakeAll()
}

// addReader returns a channel that receives after a change.
func (r *readers) addReader() (wake chan struct{}) {
	wake = make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[chan struct{}]struct{}{}
	}
	r.all[wake] = struct{}{}
	return wake
}

func (r *readers) removeReader(wake chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, wake)
}

// wakeAll wakes all readers. mu must be locked.
func (r *readers) wakeAll() {
	for wake := range r.all {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}
