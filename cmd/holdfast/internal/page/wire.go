package page

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
)

// The messages to the page. Times are milliseconds since 1970, and 0 if they are not known.

const (
	shownMembers = 24   // holders, and waiters, of a name in an update
	allMembers   = 1000 // in the answer for one name
	maxName      = 160  // bytes of a name
	maxText      = 120  // bytes of other texts in updates
	shownShards  = 512
	shownWaits   = 100 // of a cycle
)

type wireName struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Recipe  string       `json:"recipe"`
	Holding int          `json:"holding"`
	Waiting int          `json:"waiting"`
	Holders []wireMember `json:"holders"`
	Waiters []wireMember `json:"waiters"`
	Since   int64        `json:"since,omitempty"` // of the last change that was seen
	Used    int          `json:"used,omitempty"`
	Size    int          `json:"size,omitempty"`
	Parties int          `json:"parties,omitempty"`
	Up      bool         `json:"up,omitempty"` // of a barrier
	Paused  bool         `json:"paused,omitempty"`
	Queue   *wireQueue   `json:"queue,omitempty"`
	Cron    *wireCron    `json:"cron,omitempty"`
	Group   *wireGroup   `json:"group,omitempty"`
	Broken  []wireBreak  `json:"broken,omitempty"`
	Turns   []wireTurn   `json:"turns,omitempty"`
}

type wireMember struct {
	Key      string `json:"key"` // the last part
	Fence    int64  `json:"fence"`
	Lease    string `json:"lease,omitempty"`
	Value    string `json:"value,omitempty"`
	Since    int64  `json:"since,omitempty"`
	Shared   bool   `json:"shared,omitempty"`
	Detached bool   `json:"detached,omitempty"`
}

type wireQueue struct {
	Ready    int64      `json:"ready"`
	Claimed  int64      `json:"claimed"`
	Delayed  int64      `json:"delayed"`
	Dead     int64      `json:"dead"`
	Enqueued int64      `json:"enqueued"`
	Depth    [][2]int64 `json:"depth"` // time, items
}

type wireCron struct {
	Spec    string     `json:"spec"`
	Count   int64      `json:"count"`
	Last    int64      `json:"last,omitempty"`
	Running *wireTick  `json:"running,omitempty"`
	Ticks   []wireTick `json:"ticks"`
	Paused  bool       `json:"paused,omitempty"`
}

type wireTick struct {
	Scheduled int64  `json:"scheduled"`
	Started   int64  `json:"started"`
	Ended     int64  `json:"ended,omitempty"`
	By        string `json:"by"`
	Attempt   int    `json:"attempt"`
	Error     string `json:"error,omitempty"`
}

type wireGroup struct {
	Members []wireNode `json:"members"`
	Size    int        `json:"size"`   // number of members
	Shards  []int      `json:"shards"` // the index of the owner among the members, or -1
	Moving  []int      `json:"moving,omitempty"`
	N       int        `json:"n"` // number of shards
	Leader  string     `json:"leader,omitempty"`
}

type wireNode struct {
	ID     string `json:"id"`
	Value  string `json:"value,omitempty"`
	Zone   string `json:"zone,omitempty"`
	Weight int    `json:"weight"`
	Lease  string `json:"lease"`
}

type wireBreak struct {
	Time   int64  `json:"time"`
	Fence  int64  `json:"fence"`
	By     string `json:"by"`
	Holder string `json:"holder,omitempty"`
	Reason string `json:"reason"`
}

type wireTurn struct {
	Time   int64  `json:"time"`
	Fence  int64  `json:"fence"`
	Owner  string `json:"owner"`
	Holds  bool   `json:"holds,omitempty"`
	Reason string `json:"reason,omitempty"`
}

type wireSession struct {
	Lease   string `json:"lease"`
	Name    string `json:"name,omitempty"`
	Host    string `json:"host,omitempty"`
	PID     int    `json:"pid,omitempty"`
	Started int64  `json:"started,omitempty"`
	Within  string `json:"within,omitempty"`
	Holds   int    `json:"holds"`
	Waits   int    `json:"waits"`
	Blocks  int    `json:"blocks"`
	TTL     int64  `json:"ttl,omitempty"`  // milliseconds
	Ends    int64  `json:"ends,omitempty"` // the time at which the lease ends without a renewal
	Suspect bool   `json:"suspect,omitempty"`
}

type wireWait struct {
	Name   string `json:"name"`
	Waiter string `json:"waiter"`
	Holder string `json:"holder"`
}

// idOf returns the text by which the page and its links name a name: the name, or a part of it and
// a hash.
func idOf(name string) string {
	if len(name) <= maxName && utf8.ValidString(name) {
		return name
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash cannot fail
	return fmt.Sprintf("%s#%016x", cut(name, maxName), h.Sum64())
}

// cut returns the beginning of a text, with other characters in place of invalid ones.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func leaseText(id gateway.LeaseID) string {
	if id == 0 {
		return ""
	}
	return id.String()
}

// nameOf returns a name with at most so many holders, and as many waiters.
func nameOf(n *board.Name, most int) wireName {
	out := wireName{
		ID: idOf(n.Name), Name: cut(n.Name, maxName), Recipe: n.Recipe,
		Holding: n.Holding, Waiting: n.Waiting, Since: millis(n.Changed), Used: n.Used, Size: n.Size,
		Holders: []wireMember{}, Waiters: []wireMember{},
		Up: n.Recipe == inspect.Barrier && n.Up(), Paused: n.Paused(),
	}
	if _, number, ok := strings.Cut(n.Settings["parties"], " "); ok {
		out.Parties, _ = strconv.Atoi(number)
	}
	for i := range n.Members {
		m := &n.Members[i]
		to := &out.Waiters
		if m.Holds {
			to = &out.Holders
		}
		if len(*to) < most {
			*to = append(*to, memberOf(m))
		}
	}
	if q := n.Queue; q != nil {
		out.Queue = &wireQueue{q.Ready, q.Claimed, q.Delayed, q.Dead, q.Enqueued, nil}
		for _, d := range q.Depth {
			out.Queue.Depth = append(out.Queue.Depth, [2]int64{millis(d.Time), d.Items})
		}
	}
	out.Cron, out.Group = cronOf(n.Cron), groupOf(n.Group)
	for _, b := range n.Broken[max(0, len(n.Broken)-4):] {
		record := wireBreak{
			Time: millis(b.Time), Fence: b.Fence, By: cut(b.By.String(), maxText),
			Reason: cut(b.Reason, maxText),
		}
		if b.Holder != nil {
			record.Holder = cut(b.Holder.String(), maxText)
		}
		out.Broken = append(out.Broken, record)
	}
	for _, t := range n.Turns {
		out.Turns = append(out.Turns, wireTurn{
			millis(t.Time), t.Fence, cut(t.Owner, maxText), t.Holds, cut(t.Reason, maxText),
		})
	}
	return out
}

func memberOf(m *inspect.Member) wireMember {
	out := wireMember{
		Key: keyOf(m), Fence: m.Fence, Lease: leaseText(m.Lease), Since: millis(m.Since),
		Shared: m.Shared(), Detached: m.Detached,
	}
	if !out.Shared {
		out.Value = cut(m.Value, maxText)
	}
	return out
}

// keyOf returns the part of a member's key by which the page names it.
func keyOf(m *inspect.Member) string {
	return cut(m.Key[strings.LastIndexByte(m.Key, '/')+1:], maxName)
}

func cronOf(c *board.CronInfo) *wireCron {
	if c == nil {
		return nil
	}
	out := &wireCron{
		Spec: cut(c.Spec, maxText), Count: c.Count, Last: millis(c.Last), Paused: c.Paused,
		Ticks: []wireTick{},
	}
	if c.Running != nil {
		tick := tickOf(c.Running)
		out.Running = &tick
	}
	for i := range c.Ticks {
		out.Ticks = append(out.Ticks, tickOf(&c.Ticks[i]))
	}
	return out
}

func tickOf(r *cron.Record) wireTick {
	return wireTick{
		millis(r.Scheduled), millis(r.Started), millis(r.Ended), cut(r.By, maxText), r.Attempt,
		cut(r.Error, maxText),
	}
}

func groupOf(g *board.GroupInfo) *wireGroup {
	if g == nil {
		return nil
	}
	out := &wireGroup{
		Members: []wireNode{}, Size: len(g.Members), Shards: []int{}, N: len(g.Shards),
		Leader: cut(g.Leader, maxText),
	}
	index := map[string]int{}
	for i, m := range g.Members[:min(len(g.Members), allMembers)] {
		index[m.ID] = i
		out.Members = append(out.Members, wireNode{
			cut(m.ID, maxText), cut(m.Value, maxText), cut(m.Zone, maxText), m.Weight,
			leaseText(m.Lease),
		})
	}
	for i, s := range g.Shards[:min(len(g.Shards), shownShards)] {
		at, ok := index[s.Owner]
		if !ok {
			at = -1
		}
		out.Shards = append(out.Shards, at)
		if s.Next != "" {
			out.Moving = append(out.Moving, i)
		}
	}
	return out
}

func sessionOf(s *board.Session) wireSession {
	out := wireSession{
		Lease: s.Lease.String(), Holds: s.Holds, Waits: s.Waits, Blocks: s.Blocks,
		TTL: s.TTL.Milliseconds(), Suspect: s.Suspect,
	}
	if !s.Checked.IsZero() {
		out.Ends = s.Checked.Add(s.Left).UnixMilli()
	}
	if i := s.Info; i != nil {
		out.Name, out.Host, out.PID = cut(i.Name, maxText), cut(i.Host, maxText), i.PID
		out.Started, out.Within = millis(i.Started), cut(i.ParentKey, maxText)
	}
	return out
}

func cyclesOf(cycles [][]inspect.Wait) [][]wireWait {
	out := [][]wireWait{}
	for _, cycle := range cycles[:min(len(cycles), shownMembers)] {
		var waits []wireWait
		for _, w := range cycle[:min(len(cycle), shownWaits)] {
			waits = append(waits, wireWait{
				idOf(w.Place), leaseText(w.Waiter.Lease), leaseText(w.Holder.Lease),
			})
		}
		out = append(out, waits)
	}
	return out
}
