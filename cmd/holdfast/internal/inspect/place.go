// Package inspect reads who holds and waits for what, by the keys that docs/keys.md lists. It needs no session, and the
// keys of other libraries in the same lines are members like any others.
package inspect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Recipes, as far as keys tell them apart. A simple barrier that is only held, and an election whose candidates show
// nothing, look like a lock.
const (
	Lock      = "lock"
	Election  = "election"
	Semaphore = "semaphore"
	Barrier   = "barrier"
	Latch     = "latch"
	Queue     = "queue"
)

// Place is a name that somebody uses.
type Place struct {
	Name     string
	Recipe   string
	Settings map[string]string // of the keys <name>//<what>
	Members  []Member          // in the order in which they came
}

// Member is one holder or waiter.
type Member struct {
	Key     string
	Lease   gateway.LeaseID // as its name tells; 0 if it does not
	Under   gateway.LeaseID // that the key is under; 0 if it is under none
	Fence   int64           // its create_revision
	Value   string          // what a candidate shows, the weight of a permit, the place of a claimed item
	Holds   bool
	Session *session.Info // nil where there is no record, as for members of other libraries
}

// Shared tells whether it is a reader of a lock.
func (m *Member) Shared() bool { return m.Value == sharedValue }

const sharedValue = "shared"

// settings are the keys that are read of each place.
var settings = []string{"limit", "size", "parties", "raised", "tail", "paused"}

// arrange puts the members in their order, and tells recipe and holders from what was read.
func (p *Place) arrange() {
	slices.SortFunc(p.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Fence, b.Fence), cmp.Compare(a.Key, b.Key))
	})
	p.Recipe = p.recipe()
	p.admit()
}

func (p *Place) recipe() string {
	kind, _, _ := strings.Cut(p.Settings["parties"], " ")
	has := func(what string) bool {
		_, ok := p.Settings[what]
		return ok
	}
	valued := slices.ContainsFunc(p.Members, func(m Member) bool { return m.Value != "" })
	shared := slices.ContainsFunc(p.Members, func(m Member) bool { return m.Shared() })
	switch {
	case p.Recipe == Queue, has("tail"):
		return Queue
	case kind == Latch:
		return Latch
	case kind != "", has("raised"):
		return Barrier
	case has("limit"):
		return Semaphore
	case valued && !shared:
		return Election
	}
	return Lock
}

// admit marks those who hold.
func (p *Place) admit() {
	n := len(p.Members)
	switch p.Recipe {
	case Lock:
		readers := 0
		for readers < n && p.Members[readers].Shared() {
			readers++
		}
		n = max(readers, min(1, n))
	case Election:
		n = min(1, n)
	case Semaphore:
		n = p.fitting()
	}
	for i := range p.Members {
		p.Members[i].Holds = i < n
	}
}

// fitting is how many of the first members fit into a semaphore. One that is of another library weighs as much as there is.
func (p *Place) fitting() (n int) {
	size, err := strconv.Atoi(p.Settings["size"])
	if err != nil || size < 1 {
		return 0
	}
	for left := size; n < len(p.Members); n++ {
		w, err := strconv.Atoi(p.Members[n].Value)
		if err != nil || w < 1 {
			w = size
		}
		if left -= w; left < 0 {
			break
		}
	}
	return n
}

// Up tells whether a simple barrier is up.
func (p *Place) Up() bool {
	_, raised := p.Settings["raised"]
	return raised || len(p.Members) > 0
}

// State is what the member does, in a word.
func (p *Place) State(m *Member) string {
	switch {
	case p.Recipe == Barrier:
		return "at it" // holds it up, waits for others or is past them: the keys alone do not tell
	case p.Recipe == Queue:
		return "works"
	case !m.Holds:
		return "waits"
	case p.Recipe == Election:
		return "leads"
	}
	return "holds"
}
