// Package inspect reads holders and waiters from the keys that docs/keys.md describes. It needs no
// session. Members of other libraries in the same lines are read too.
//
// All functions are safe for concurrent use. A function with a context returns its error when it
// ends.
package inspect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// The recipes, as far as keys show them. A barrier that is only held, and an election whose
// candidates have empty values, look like a lock.
const (
	Lock      = "lock"
	Election  = "election"
	Cron      = "cron"
	Once      = "once"    // with a run since the last result, or a result
	Limiter   = "limiter" // its members are the blocks of the sessions
	Counter   = "counter"
	IDs       = "ids"
	Shards    = "shards"
	Group     = "group"
	Semaphore = "semaphore"
	Barrier   = "barrier"
	Latch     = "latch"
	Queue     = "queue"
)

// Place is a name in use.
type Place struct {
	Name     string
	Recipe   string
	Settings map[string]string // the values of the settings' keys
	Members  []Member          // in the order in which they joined
	Nodes    int64             // the members of a group; only [Whole] counts them
}

// Member is one holder or waiter.
type Member struct {
	Key   string
	Lease gateway.LeaseID // the lease in the key's name, or 0
	Under gateway.LeaseID // the lease of the key, or 0
	Fence int64           // the key's create_revision
	// The value of a candidate, the weight of a permit, or the position of a claimed item.
	Value string
	Holds bool
	// Detached means that a lock has no session, and lives until its own lease ends.
	Detached bool
	Session  *session.Info // nil without a record, as for members of other libraries
	Since    time.Time     // when the hold was granted; zero if its holder has not recorded it

	// moved says that the key is not under the lease in its name: its value shows the owner.
	moved bool
}

// Shared reports whether m is a reader of a lock.
func (m *Member) Shared() bool { return m.Value == sharedValue }

// arrange sorts the members, and derives recipe and holders from the keys.
func (p *Place) arrange() {
	slices.SortFunc(p.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Fence, b.Fence), cmp.Compare(a.Key, b.Key))
	})
	p.Recipe = p.recipe()
	p.admit()
}

func (p *Place) recipe() string {
	kind, _, _ := strings.Cut(p.Settings["parties"], " ")
	valued := slices.ContainsFunc(p.Members, func(m Member) bool { return m.Value != "" })
	shared := slices.ContainsFunc(p.Members, func(m Member) bool { return m.Shared() })
	switch {
	case p.Recipe == Queue, p.has("tail"):
		return Queue
	case kind == Latch:
		return Latch
	case kind != "", p.has("raised"):
		return Barrier
	case p.has("limit"):
		return Semaphore
	case p.has("state"), p.has("pause"):
		return Cron
	case p.has("bucket"):
		return Limiter
	case p.has("attempts"), p.has("result"):
		return Once
	case p.has("counter"):
		return Counter
	case p.has("next"):
		return IDs
	case p.has("assignment"):
		return Shards
	case p.Nodes > 0:
		return Group
	case valued && !shared:
		return Election
	}
	return Lock
}

// admit marks the holders.
func (p *Place) admit() {
	n := len(p.Members)
	switch p.Recipe {
	case Lock:
		readers := 0
		for readers < n && p.Members[readers].Shared() {
			readers++
		}
		n = max(readers, min(1, n))
	case Election, Cron, Once:
		n = min(1, n)
	case Semaphore:
		n = p.fitting()
	}
	for i := range p.Members {
		p.Members[i].Holds = i < n
	}
}

// fitting returns how many of the first members fit into a semaphore. A member of another library
// has the weight of the whole semaphore.
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
		left -= w
		if left < 0 {
			break
		}
	}
	return n
}

// Up reports whether a simple barrier is up.
func (p *Place) Up() bool { return p.has("raised") || len(p.Members) > 0 }

// Paused reports whether a queue is paused.
func (p *Place) Paused() bool { return p.has("paused") }

func (p *Place) has(setting string) bool {
	_, ok := p.Settings[setting]
	return ok
}

// State describes the state of a member in a word or two.
func (p *Place) State(m *Member) string {
	switch {
	case p.Recipe == Barrier:
		// The keys do not show whether it holds the barrier up, waits, or has passed.
		return "at it"
	case p.Recipe == Queue:
		return "works"
	case !m.Holds:
		return "waits"
	case m.Detached:
		return "detached"
	case p.Recipe == Election:
		return "leads"
	}
	return "holds"
}
