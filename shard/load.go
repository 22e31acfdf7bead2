package shard

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/listwatch"
)

// loadInterval is the shortest time between two reports of a member's loads to etcd.
const loadInterval = 10 * time.Second

// MaxLoad is the greatest load of a shard.
const MaxLoad = 1_000_000_000

// ReportLoad reports how much work the shard is, in a unit that is the same in the whole group, for
// example requests per minute. As soon as one shard of the group has a load, the assignment
// balances loads instead of numbers of shards, see the package. Loads are limited to 0 and
// [MaxLoad]. ReportLoad sends no request: the member sends its changed loads at most every 10 s.
func (s *Shard) ReportLoad(load int) { s.duty.loads.report(s.number, load) }

// loads are the loads of the shards that a member holds.
type loads struct {
	mu      sync.Mutex
	now     map[int]int
	sent    map[int]int
	changed chan struct{} // receives when the loads differ enough from those that were sent
}

func newLoads() *loads { return &loads{now: map[int]int{}, changed: make(chan struct{}, 1)} }

func (l *loads) report(shard, load int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now[shard] = min(max(load, 0), MaxLoad)
	sent, known := l.sent[shard]
	if d := l.now[shard] - sent; !known || max(d, -d) > sent/10 {
		l.send()
	}
}

// send has the loads sent, now or after the interval.
func (l *loads) send() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// forget drops the load of a shard that the member does not hold any more. The next report leaves
// it out. If the member gets the shard again, its load is sent again, because another member may
// have sent one.
func (l *loads) forget(shard int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.now, shard)
	delete(l.sent, shard)
}

// encode returns the loads to send. Without any it returns nil.
func (l *loads) encode() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = make(map[int]int, len(l.now))
	var r loadRecord
	for _, s := range slices.Sorted(maps.Keys(l.now)) {
		l.sent[s] = l.now[s]
		r.Shards, r.Loads = append(r.Shards, s), append(r.Loads, l.now[s])
	}
	if len(r.Shards) == 0 {
		return nil
	}
	value, _ := json.Marshal(r) // numbers cannot fail
	return value
}

// reportLoads sends the loads of the member until ctx ends. The key ends with the session.
func (d *duty) reportLoads(ctx context.Context) error {
	for {
		select {
		case <-d.loads.changed:
		case <-ctx.Done():
			return nil
		}
		if value := d.loads.encode(); value != nil {
			key := loadKey(d.group, d.id)
			lease := gateway.WithLease(d.session.Lease())
			_, err := d.session.Write(ctx, core.Write{
				Then: []gateway.Op{gateway.OpPut(key, value, lease)},
			})
			if err != nil {
				d.loads.send()
			}
		}
		select {
		case <-time.After(loadInterval):
		case <-ctx.Done():
			return nil
		}
	}
}

// loadRecord is the value of a member's key with loads. Loads has an entry for each of the Shards.
type loadRecord struct {
	Shards []int `json:"shards"`
	Loads  []int `json:"loads"`
}

func loadKey(group, id string) string { return group + "//loads/" + id }

// loadCopy is the reducer of the loads of a group. Only the leader has one.
type loadCopy struct {
	*listwatch.Cache
	group string
	stale chan struct{} // receives when the copy misses events
	set   func(of map[int]int)
}

// List takes a read of the loads, the oldest first, because members may still show loads of shards
// that have moved. The leader forgets no load, because the loads of a member that has died decide
// where its shards move to.
func (l *loadCopy) List(read *gateway.GetResponse) {
	kvs := slices.SortedFunc(slices.Values(read.KVs), func(a, b gateway.KeyValue) int {
		return cmp.Compare(a.ModRevision, b.ModRevision)
	})
	for _, kv := range kvs {
		l.put(kv)
	}
}

// Apply takes the events of a revision.
func (l *loadCopy) Apply(events []gateway.Event) {
	for _, ev := range events {
		if !ev.Deleted {
			l.put(ev.KV)
		}
	}
}

// Stale lets watchLoads complete the copy again.
func (l *loadCopy) Stale() {
	select {
	case l.stale <- struct{}{}:
	default:
	}
}

func (l *loadCopy) put(kv gateway.KeyValue) {
	ok := strings.HasPrefix(kv.Key, loadKey(l.group, ""))
	var r loadRecord
	if !ok || json.Unmarshal(kv.Value, &r) != nil || len(r.Shards) != len(r.Loads) {
		return
	}
	of := make(map[int]int, len(r.Shards))
	for i, s := range r.Shards {
		if load := r.Loads[i]; load >= 0 && load <= MaxLoad {
			of[s] = load
		}
	}
	l.set(of)
}

// watchLoads takes the loads that the members report, and returns the error that ended it.
func (r *runner) watchLoads(ctx context.Context, in *inputs) error {
	l := &loadCopy{group: r.group, stale: make(chan struct{}, 1), set: in.setLoads}
	l.Cache = listwatch.New(r.client, l, []string{loadKey(r.group, "")}, gateway.Prefix())
	defer l.Close()
	for {
		if err := l.Sync(ctx); err != nil {
			return err
		}
		in.change(func() { in.ready |= readyLoads })
		select {
		case <-l.stale:
		case <-ctx.Done():
			return nil
		}
	}
}
