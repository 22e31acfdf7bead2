package board

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/member"
)

// The recipes that a board knows in addition to the ones of package inspect.
const (
	Once    = inspect.Once
	Limiter = inspect.Limiter
	Group   = "group"
	Shards  = "shards"
)

// Name is a name in use, or one that was in use within the last minute.
type Name struct {
	// Place has the line. Since of a member is when its hold was granted, or when the board saw
	// that, and else zero.
	inspect.Place
	Holding int // number of members that hold
	Waiting int // number of members that do not
	Used    int // of a semaphore: the weight that is held
	Size    int // of a semaphore
	Changed time.Time
	Queue   *QueueInfo
	Cron    *CronInfo
	Group   *GroupInfo
	Broken  []inspect.Break // in the last 24 hours, the last one last
	Turns   []Turn          // seen by the board, the last one last

	nested bool // a session of the line runs under a hold
}

func (n *Name) isLine() bool {
	return n.Recipe == inspect.Lock || n.Recipe == inspect.Election || n.Recipe == inspect.Semaphore
}

// QueueInfo is the numbers of a queue, see queue.Stats.
type QueueInfo struct {
	Ready, Claimed, Delayed, Dead, Enqueued int64
	// Depth is the number of items that are ready or claimed over time, at most one a second.
	Depth []Depth
}

// Depth is the number of items from a time on.
type Depth struct {
	Time  time.Time
	Items int64
}

// CronInfo is the state of a schedule.
type CronInfo struct {
	Spec    string
	Count   int64
	Last    time.Time
	Running *cron.Record  // nil if no tick runs
	Ticks   []cron.Record // that have ended, the last one last
	Paused  bool
}

// GroupInfo is the members and the shards of a group.
type GroupInfo struct {
	Members []member.Member // by ID
	Shards  []Shard         // empty for a group without shards
	Leader  string          // the ID of the member that assigns the shards
}

// Shard is a shard of a group.
type Shard struct {
	Owner string // the ID of the member that holds it, or ""
	Next  string // the ID of the member that waits for it, or ""
}

// linger is how long a name is shown after its last key was deleted, and maxLingering the number of
// names for which that is so.
const (
	linger       = time.Minute
	maxLingering = 1000
)

// maxTurns is the number of changes of holders that are kept of a name.
const maxTurns = 12

// show makes the next shown value of a name. mu must be locked.
func (b *Board) show(n *name) {
	old := n.shown
	b.count(n, old, -1)
	if n.isEmpty() {
		if b.forget(n) {
			n.shown = nil
			delete(b.names, n.name)
			b.lines = b.lines || old != nil && old.isLine()
			return
		}
	} else if !n.empty.IsZero() {
		n.empty = time.Time{}
		b.lingers--
	}
	s := &Name{
		Place: inspect.Place{
			Name: n.name, Settings: maps.Clone(n.settings),
			Members: make([]inspect.Member, 0, len(n.members)),
		},
		Changed: n.changed,
	}
	for key, m := range n.members {
		m.Session = b.records[m.Lease]
		s.nested = s.nested || m.Session != nil && m.Session.ParentKey != ""
		if inspect.Classify(key).Kind == inspect.KindClaim {
			s.Recipe = inspect.Queue
		}
		s.Members = append(s.Members, m)
	}
	s.Arrange()
	s.Recipe = n.recipe(s.Recipe)
	for i := range s.Members {
		m := &s.Members[i]
		if !m.Holds {
			s.Waiting++
			continue
		}
		s.Holding++
		if weight, err := strconv.Atoi(m.Value); err == nil {
			s.Used += weight
		}
		b.setSince(n, m)
	}
	if s.Recipe == inspect.Semaphore {
		s.Size, _ = strconv.Atoi(n.settings["size"])
		if s.Used == 0 && s.Holding > 0 { // a lock of another kind holds all of it
			s.Used = s.Size
		}
	}
	n.details(s)
	n.setTurns(s)
	s.Turns = slices.Clone(n.turns)
	n.shown = s
	b.count(n, s, 1)
	b.lines = b.lines || s.isLine() || old != nil && old.isLine()
}

// forget reports whether a name without keys is to be shown no longer.
func (b *Board) forget(n *name) bool {
	switch {
	case n.shown == nil:
		return true
	case n.empty.IsZero() && b.lingers < maxLingering:
		n.empty = time.Now()
		b.lingers++
		return false
	case n.empty.IsZero():
		return true
	case time.Since(n.empty) < linger:
		return false
	}
	b.lingers--
	return true
}

// recipe returns the recipe of a name. line is the one that its line shows.
func (n *name) recipe(line string) string {
	has := func(setting string) bool {
		_, ok := n.settings[setting]
		return ok
	}
	switch {
	case n.table != nil || len(n.places) > 0:
		return Shards
	case len(n.nodes) > 0:
		return Group
	case n.counts[inspect.KindItem]+n.counts[inspect.KindDelayed]+n.counts[inspect.KindDead] > 0:
		return inspect.Queue
	case has("bucket"):
		return Limiter
	case has("attempts"), has("result"):
		return Once
	case n.isEmpty() && n.shown != nil:
		return n.shown.Recipe
	}
	return line
}

// setSince sets since when a member holds.
func (b *Board) setSince(n *name, m *inspect.Member) {
	if h, ok := b.since[m.Key]; ok && h.Fence == m.Fence {
		m.Since = h.Since
		return
	}
	if n.shown == nil {
		return // it may have held before the board was opened
	}
	for i := range n.shown.Members {
		if o := &n.shown.Members[i]; o.Key == m.Key && o.Fence == m.Fence && o.Holds {
			m.Since = o.Since
			return
		}
	}
	m.Since = n.changed
}

// setTurns records which holders a name has no longer, and which it has now.
func (n *name) setTurns(s *Name) {
	if n.shown == nil || !s.isLine() && s.Recipe != Once {
		return
	}
	before, after := holders(n.shown), holders(s)
	for key, m := range before {
		if _, ok := after[key]; !ok {
			turn := Turn{Time: n.changed, Fence: m.Fence, Owner: Owner(m)}
			for _, b := range n.broken {
				if b.Key == m.Key && b.Fence == m.Fence {
					turn.Reason = "broken by " + b.By.String() + ": " + b.Reason
				}
			}
			n.turns = append(n.turns, turn)
		}
	}
	for key, m := range after {
		if _, ok := before[key]; !ok {
			n.turns = append(n.turns,
				Turn{Time: n.changed, Fence: m.Fence, Owner: Owner(m), Holds: true})
		}
	}
	n.turns = slices.Clone(n.turns[max(0, len(n.turns)-maxTurns):])
}

type holdID struct {
	key   string
	fence int64
}

func holders(n *Name) map[holdID]*inspect.Member {
	out := map[holdID]*inspect.Member{}
	for i := range n.Members {
		if m := &n.Members[i]; m.Holds {
			out[holdID{m.Key, m.Fence}] = m
		}
	}
	return out
}

// details sets the fields of the recipe.
func (n *name) details(s *Name) {
	s.Broken = slices.SortedFunc(maps.Values(n.broken), func(x, y inspect.Break) int {
		return x.Time.Compare(y.Time)
	})
	switch {
	case s.Recipe == inspect.Queue:
		n.sample()
		s.Queue = n.queue(len(s.Members))
	case n.state != nil:
		s.Recipe = inspect.Cron
		s.Cron = n.cron()
		if len(s.Members) > 0 {
			s.Cron.Spec = s.Members[0].Value
		}
	case s.Recipe == Group || s.Recipe == Shards:
		s.Group = n.group()
	}
}

func (n *name) queue(claimed int) *QueueInfo {
	next, _, _ := strings.Cut(n.settings["tail"], " ")
	enqueued, _ := strconv.ParseInt(next, 10, 64)
	return &QueueInfo{
		Ready: n.counts[inspect.KindItem] - int64(claimed), Claimed: int64(claimed),
		Delayed: n.counts[inspect.KindDelayed], Dead: n.counts[inspect.KindDead],
		Enqueued: max(0, enqueued-1), Depth: slices.Clone(n.depth),
	}
}

// maxDepths is the number of depths that are kept: five minutes of a queue that always changes.
const maxDepths = 300

// sample records the depth of a queue.
func (n *name) sample() {
	items := n.counts[inspect.KindItem]
	last := len(n.depth) - 1
	switch {
	case last >= 0 && n.depth[last].Items == items:
	case last >= 0 && n.changed.Sub(n.depth[last].Time) < time.Second:
		n.depth[last].Items = items
	default:
		n.depth = append(n.depth, Depth{n.changed, items})
		n.depth = slices.Delete(n.depth, 0, max(0, len(n.depth)-maxDepths))
	}
}

func (n *name) cron() *CronInfo {
	c := &CronInfo{Count: n.state.Count, Last: n.state.Last}
	if n.state.Running != nil {
		running := n.state.Running.Record
		c.Running = &running
	}
	c.Paused = strings.Contains(n.settings["pause"], `"paused":true`)
	for _, number := range slices.Sorted(maps.Keys(n.ticks)) {
		c.Ticks = append(c.Ticks, n.ticks[number])
	}
	return c
}

// maxShards is the number of shards that are shown of a group.
const maxShards = 4096

func (n *name) group() *GroupInfo {
	g := &GroupInfo{
		Members: slices.SortedFunc(maps.Values(n.nodes), func(x, y member.Member) int {
			return cmp.Compare(x.ID, y.ID)
		}),
	}
	size := 0
	if n.table != nil {
		size = n.table.N
	}
	places := slices.SortedFunc(maps.Values(n.places), func(x, y inspect.Member) int {
		return cmp.Compare(x.Fence, y.Fence)
	})
	for _, m := range places {
		if at, err := strconv.Atoi(inspect.Classify(m.Key).Rest); err == nil {
			size = max(size, at+1)
		}
	}
	g.Shards = make([]Shard, min(size, maxShards))
	for _, m := range places {
		key := inspect.Classify(m.Key)
		if key.Kind == inspect.KindLeader {
			g.Leader = cmp.Or(g.Leader, m.Value)
			continue
		}
		at, err := strconv.Atoi(key.Rest)
		if err != nil || at < 0 || at >= len(g.Shards) {
			continue
		}
		if s := &g.Shards[at]; s.Owner == "" {
			s.Owner = m.Value
		} else if s.Next == "" {
			s.Next = m.Value
		}
	}
	return g
}
