package member

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// roster is the reducer of a group that all observers of a client share.
type roster struct {
	*listwatch.Cache
	prefix string

	mu       sync.Mutex
	synced   bool // the cache has passed a read, and the events since
	revision int64
	members  map[string]Member          // by key
	sorted   []Member                   // nil after a change; the roster does not change it
	readers  map[chan struct{}]struct{} // each receives after a change
}

// idleRoster is the time for which a roster without observers is kept.
const idleRoster = 30 * time.Second

// rosters is global because the observers of a client must share its rosters.
var rosters listwatch.Pool[*roster]

func acquireRoster(c *gateway.Client, prefix string) *roster {
	return rosters.Acquire(listwatch.ID{Client: c, Kind: "member", Key: prefix}, func() *roster {
		r := &roster{prefix: prefix, readers: map[chan struct{}]struct{}{}}
		r.Cache = listwatch.New(c, r, []string{prefix}, gateway.Prefix())
		return r
	})
}

// List takes a read of the group.
func (r *roster) List(read *gateway.GetResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced, r.revision = true, read.Revision
	r.members, r.sorted = map[string]Member{}, nil
	for _, kv := range read.KVs {
		r.put(kv)
	}
	r.wakeReaders()
}

// Apply takes the events of one revision.
func (r *roster) Apply(events []gateway.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range events {
		r.revision = ev.KV.ModRevision
		if ev.Deleted {
			delete(r.members, ev.KV.Key)
		} else {
			r.put(ev.KV)
		}
	}
	r.sorted = nil
	r.wakeReaders()
}

// Stale wakes the observers. One of them completes the roster again.
func (r *roster) Stale() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced = false
	r.wakeReaders()
}

// put adds the member of a key, unless another program has written it. mu must be locked.
func (r *roster) put(kv gateway.KeyValue) {
	if m, ok := memberOf(kv, r.prefix); ok {
		r.members[kv.Key] = m
	} else {
		delete(r.members, kv.Key)
	}
}

// view returns the members. ok is false if the roster is not complete.
func (r *roster) view() (_ View, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sorted == nil {
		r.sorted = slices.SortedFunc(maps.Values(r.members),
			func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	}
	return View{r.revision, r.sorted}, r.synced
}

func (r *roster) addReader() (wake chan struct{}) {
	wake = make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers[wake] = struct{}{}
	return wake
}

func (r *roster) removeReader(wake chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.readers, wake)
}

// wakeReaders wakes all readers. mu must be locked.
func (r *roster) wakeReaders() {
	for wake := range r.readers {
		signal(wake)
	}
}
