package semaphore_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/semaphore"
)

// grant is a permit as its holder saw it. The times are from the return of Acquire to the call of
// Release, by the clock of the machine.
type grant struct {
	Key    string
	Fence  int64
	Weight int
	From   int64
	To     int64
}

func grantOf(p *semaphore.Permit) grant {
	return grant{Key: p.Key(), Fence: p.Fence(), Weight: p.Weight(), From: time.Now().UnixNano()}
}

// member is one incarnation of a key of the line.
type member struct {
	key      string
	fence    int64
	weight   int
	admitted bool
}

// history is the line in etcd, replayed revision by revision.
type history struct {
	line  []*member // by fence
	size  int
	used  int              // by admitted members
	ever  map[int64]member // all members that were admitted, by fence
	last  int64            // the last fence admitted
	most  int              // the most ever used
	over  int              // revisions at which more was used than the size, after a Resize
	fault func(string, ...any)
}

// replay replays the writes below name since the revision from, and checks that no member was
// admitted to units that were not free, or out of order. It knows the rule, but uses none of the
// library's code.
func replay(tb testing.TB, c *etcdtest.Cluster, name string, from int64) *history {
	tb.Helper()
	client := c.ClientV3(tb)
	ctx := within(tb, 30*time.Second)
	end, err := client.Put(ctx, name+"//end", "")
	if err != nil {
		tb.Fatal(err)
	}
	h := &history{ever: map[int64]member{}, fault: tb.Errorf}
	var events []*clientv3.Event // of one revision
	for resp := range client.Watch(ctx, name+"/", clientv3.WithPrefix(), clientv3.WithRev(from+1)) {
		if err := resp.Err(); err != nil {
			tb.Fatal(err)
		}
		for _, ev := range resp.Events {
			if len(events) > 0 && ev.Kv.ModRevision != events[0].Kv.ModRevision {
				h.step(name, events)
				events = nil
			}
			events = append(events, ev)
			if ev.Kv.ModRevision == end.Header.Revision {
				return h
			}
		}
	}
	tb.Fatal("the watch has ended")
	return nil
}

func (h *history) step(name string, events []*clientv3.Event) {
	rev := events[0].Kv.ModRevision
	for _, ev := range events {
		key := string(ev.Kv.Key)
		if key == name+"//size" {
			h.size, _ = strconv.Atoi(string(ev.Kv.Value))
			continue
		}
		if strings.Contains(key[len(name)+1:], "/") {
			continue
		}
		i := slices.IndexFunc(h.line, func(m *member) bool { return m.key == key })
		switch {
		case ev.Type == clientv3.EventTypeDelete:
			if h.line[i].admitted {
				h.used -= h.line[i].weight
			}
			h.line = slices.Delete(h.line, i, i+1)
		case ev.IsCreate():
			weight, err := strconv.Atoi(string(ev.Kv.Value))
			if err != nil {
				weight = h.size
			}
			h.line = append(h.line, &member{key: key, fence: rev, weight: weight})
		}
	}
	for i, free := 0, h.size; i < len(h.line) && h.line[i].weight <= free; i++ {
		m := h.line[i]
		if free -= m.weight; m.admitted {
			continue
		}
		m.admitted = true
		h.ever[m.fence] = *m
		if h.used += m.weight; h.used > h.size {
			h.fault("revision %d: %+v makes %d of %d", rev, *m, h.used, h.size)
		}
		if m.fence <= h.last {
			h.fault("revision %d: %+v came after %d", rev, *m, h.last)
		}
		h.last, h.most = m.fence, max(h.most, h.used)
	}
	if h.used > h.size {
		h.over++
	}
}

// confirms checks that all granted permits were admitted at some revision.
func (h *history) confirms(grants []grant) {
	for _, g := range grants {
		if m, ok := h.ever[g.Fence]; !ok || m.key != g.Key || m.weight != g.Weight {
			h.fault("%+v was never admitted: %+v", g, m)
		}
	}
}

// overlap returns the most units that were held at a time, by the clock of the machine.
func overlap(grants []grant) int {
	type change struct {
		at int64
		by int
	}
	var changes []change
	for _, g := range grants {
		changes = append(changes, change{g.From, g.Weight}, change{g.To, -g.Weight})
	}
	slices.SortFunc(changes, func(a, b change) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.by - b.by
	})
	held, most := 0, 0
	for _, c := range changes {
		held += c.by
		most = max(most, held)
	}
	return most
}

// TestTheCheckFindsPlantedFaults: the check finds planted faults.
func TestTheCheckFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	faults := 0
	h := &history{ever: map[int64]member{}, fault: func(string, ...any) { faults++ }}
	h.line = []*member{
		{key: "a/1", fence: 5, weight: 1},
		{key: "a/2", fence: 6, weight: 2, admitted: true},
	}
	h.last, h.used, h.size = 6, 2, 2
	h.step("a", []*clientv3.Event{{Type: clientv3.EventTypePut, Kv: kv("a/3", 7)}})
	if faults != 2 { // too many units, and out of order
		t.Errorf("%d faults", faults)
	}
	h.confirms([]grant{{Key: "a/3", Fence: 7, Weight: 1}, {Key: "a/1", Fence: 5, Weight: 1}})
	if faults != 3 {
		t.Errorf("%d faults", faults)
	}
	if most := overlap([]grant{
		{Weight: 1, From: 1, To: 5},
		{Weight: 2, From: 5, To: 9},
		{Weight: 1, From: 8, To: 10},
	}); most != 3 {
		t.Errorf("overlap = %d", most)
	}
}
