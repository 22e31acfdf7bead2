package queue

import (
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAnExtensionWhileTheCacheForgets: if so many urgent items come while a cache reads on that it
// forgets some, it reads these again, and hands out all items in their order, also one that was
// claimed meanwhile.
func TestAnExtensionWhileTheCacheForgets(t *testing.T) {
	t.Parallel()
	m := &model{keys: keysOf("a"), items: map[string]int64{}, claims: map[string]int64{}}
	ic := watching(m.keys)
	report := func() {
		ic.take(ic.watch, gateway.WatchResponse{Events: m.log, Revision: m.rev})
		m.log = nil
	}
	take := func(want string) {
		t.Helper()
		st := ic.next(unsent, false, nil)
		for st.more {
			ic.expect(ic.watch)
			ic.merge(ic.watch, ic.horizon, "", m.read(ic.horizon, window), nil)
			st = ic.next(unsent, false, nil)
		}
		if st.claim == nil || st.claim.entry.place != want {
			t.Fatalf("%+v, not %s", st.claim, want)
		}
		m.rev++
		m.remove(m.items, m.keys.items, want)
		report()
	}
	low, urgent, early := int(window)+10, maxKnown, 500
	for i := range low {
		m.put(m.items, m.keys.items, place(0, int64(i+1)))
	}
	held := place(1, int64(low+1))
	m.put(m.items, m.keys.items, held)
	m.put(m.claims, m.keys.claims, held)
	m.log = nil
	ic.merge(ic.watch, "", "", m.read("", window), nil)
	for i := range window - 1 {
		take(place(0, i+1))
	}
	from := ic.horizon
	ic.expect(ic.watch)
	read := m.read(from, window)
	for i := range urgent {
		m.put(m.items, m.keys.items, place(2, int64(low+i+2)))
		report()
	}
	for i := range early {
		take(place(2, int64(low+i+2)))
	}
	ic.merge(ic.watch, from, "", read, nil)
	for i := early; i < urgent; i++ {
		take(place(2, int64(low+i+2)))
	}
	m.rev++
	m.remove(m.claims, m.keys.claims, held)
	report()
	take(held)
	for i := int(window) - 1; i < low; i++ {
		take(place(0, int64(i+1)))
	}
}
