package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAForgottenItemIsInNoGap: gaps are not stored if an item is in them, although the cache of
// this process has forgotten it.
func TestAForgottenItemIsInNoGap(t *testing.T) {
	t.Parallel()
	for _, forgets := range []bool{false, true} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			q := New(bubble.Session(t, etcd), "jobs", nil)
			ic := q.openCache()
			defer ic.release()
			const items, forgotten = 300, 200
			if _, err := q.EnqueueAll(t.Context(), make([][]byte, items), nil); err != nil {
				t.Fatal(err)
			}
			var held *Message
			for i := range items {
				m, err := q.Receive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if i == forgotten {
					held = m
				} else if err := m.Ack(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			ic.mu.Lock()
			if forgets {
				ic.drop(ic.entries[held.place])
			}
			ic.removed = 2 * gapEvery
			ic.mu.Unlock()
			q.storeGaps(ic, false)
			synctest.Wait()
			if _, stored := etcd.Get(q.keys.gaps); stored == forgets {
				t.Errorf("gaps were stored: %v; the item was forgotten: %v", stored, forgets)
			}
			if err := held.Nack(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			other := New(bubble.Session(t, etcd), "jobs", nil)
			if m, err := other.Receive(t.Context()); err != nil || m.place != held.place {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
}

// TestTheNewPartsOfGaps: each place that is in the gaps and not in the others is in one part.
func TestTheNewPartsOfGaps(t *testing.T) {
	t.Parallel()
	random := func() (g gaps) {
		for range rand.N(maxGaps) {
			p, from := rand.N(2), rand.Int64N(60)
			g.list = append(g.list, gap{place(p, from), place(p, from+1+rand.Int64N(20))})
		}
		return g.with(nil)
	}
	in := func(all []gap, at string) bool {
		return slices.ContainsFunc(all, func(r gap) bool { return r.from <= at && at < r.to })
	}
	for range 300 {
		old := random()
		now := old.with(random().list)
		parts := now.beyond(old)
		if len(parts) > len(now.list)+len(old.list) {
			t.Fatalf("%d parts", len(parts))
		}
		var seen []string
		for _, r := range parts {
			seen = append(seen, fmt.Sprint(r))
			if strings.Compare(r.from, r.to) >= 0 {
				t.Fatal(r)
			}
		}
		for p := range 2 {
			for n := range int64(90) {
				at := place(p, n)
				if want := in(now.list, at) && !in(old.list, at); in(parts, at) != want {
					t.Fatalf("%s: %v of %v beyond %v", at, seen, now.list, old.list)
				}
			}
		}
	}
}
