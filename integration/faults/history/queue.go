package history

import (
	"slices"
	"strconv"
	"strings"
)

// Queues checks a queue whose consumers acknowledge each item with a write to DoneKey. It is a
// value.
type Queues struct {
	Place string
	// Drained means that the consumers ran until the queue was empty.
	Drained bool
}

// DoneKey returns the key that the ack of an item writes.
func DoneKey(place, value string) string { return place + ".done/" + value }

// item is an item in the log.
type item struct {
	place   string
	group   string
	value   string
	created int64
	claims  []*claimed
	removed int64
	done    int // how often its ack was applied
}

// claimed is one claim of an item.
type claimed struct {
	key   string
	fence int64
	left  int64
	acked bool
}

func (i *item) claim() *claimed {
	if n := len(i.claims); n > 0 && i.claims[n-1].left == 0 {
		return i.claims[n-1]
	}
	return nil
}

// board is the state of the queue in the log.
type board struct {
	Queues
	rep    *Report
	here   map[string]*item // by place
	ever   map[string]*item // by value
	claims map[string]map[int64]*claimed
	tail   string             // the last place of an item
	groups map[string][]*item // those that are here, in their order
}

// split returns the place and the group of an item's key.
func split(key string) (place, group string) {
	if n := strings.Index(key, "/") + 1; n > 0 {
		if i := strings.Index(key[n:], "/"); i >= 0 {
			return key[:n+i], key[n+i+1:]
		}
	}
	return key, ""
}

// Check adds the violations of the queue's rules to rep. It returns the same as Locks.Check.
func (k Queues) Check(rep *Report, c *Conditions, log Log, all []Op) (early int) {
	b := k.replay(rep, log)
	ops := Of(all, k.Place)
	b.produced(ops)
	b.consumed(ops)
	for _, i := range b.ever {
		if cl := i.claim(); cl != nil {
			rep.Addf("%s: %q is still claimed, since revision %d", k.Place, i.value, cl.fence)
		}
		if i.done > 1 || i.removed != 0 && i.done == 0 {
			rep.Addf("%s: %q was done %d times", k.Place, i.value, i.done)
		}
		if k.Drained && i.removed == 0 {
			rep.Addf("%s: %q was left behind", k.Place, i.value)
		}
	}
	byItem := map[string][]*Hold{}
	for _, h := range c.Holds(rep, ops) {
		byItem[h.Key] = append(byItem[h.Key], h)
	}
	for _, holds := range byItem {
		early += overlaps(rep, k.Place, holds, func(h *Hold) int64 {
			if cl := b.claims[h.Key][h.Fence]; cl != nil && cl.left != 0 {
				return log.At(cl.left)
			}
			return 0
		}, c.learnt(false))
	}
	return early
}

func (k Queues) replay(rep *Report, log Log) *board {
	b := &board{
		Queues: k, rep: rep, here: map[string]*item{}, ever: map[string]*item{},
		claims: map[string]map[int64]*claimed{}, groups: map[string][]*item{},
	}
	for _, r := range log {
		b.step(r)
	}
	return b
}

func (b *board) step(r Revision) {
	var puts, claims, removed, released, done []Event
	for _, ev := range r.Events {
		rest, mine := strings.CutPrefix(ev.Key, b.Place+"//")
		value, effect := strings.CutPrefix(ev.Key, DoneKey(b.Place, ""))
		switch {
		case effect && !ev.Deleted:
			ev.Key = value
			done = append(done, ev)
		case !mine:
		case strings.HasPrefix(rest, "q/") && ev.Deleted:
			ev.Key = rest[2:]
			removed = append(removed, ev)
		case strings.HasPrefix(rest, "q/"):
			ev.Key = rest[2:]
			puts = append(puts, ev)
		case strings.HasPrefix(rest, "c/") && ev.Deleted:
			ev.Key = rest[2:]
			released = append(released, ev)
		case strings.HasPrefix(rest, "c/"):
			ev.Key = rest[2:]
			claims = append(claims, ev)
		}
	}
	b.added(r.Rev, puts)
	b.claimed(r.Rev, claims)
	b.ended(r.Rev, removed, released, done)
}

func (b *board) added(rev int64, puts []Event) {
	for _, ev := range puts {
		_, value, _ := strings.Cut(ev.Value, "\n")
		place, group := split(ev.Key)
		if ev.Version > 1 || b.here[place] != nil {
			b.rep.Addf("%s: revision %d overwrites the item at %s", b.Place, rev, place)
		}
		if before := b.ever[value]; before != nil {
			b.rep.Addf("%s: revision %d: %q was enqueued before, at %d", b.Place, rev, value,
				before.created)
		}
		if place <= b.tail {
			b.rep.Addf("%s: revision %d: the place %s is not behind %s", b.Place, rev, place,
				b.tail)
		}
		b.tail = place
		i := &item{place: place, group: group, value: value, created: rev}
		b.here[place], b.ever[value] = i, i
		b.groups[group] = append(b.groups[group], i)
	}
}

func (b *board) claimed(rev int64, claims []Event) {
	slices.SortFunc(claims, func(a, b Event) int { return strings.Compare(a.Key, b.Key) })
	for _, ev := range claims {
		i := b.here[ev.Key]
		switch {
		case i == nil:
			b.rep.Addf("%s: revision %d claims %s, where there is no item", b.Place, rev, ev.Key)
			continue
		case ev.Version > 1 || i.claim() != nil:
			b.rep.Addf("%s: revision %d claims %q a second time", b.Place, rev, i.value)
		case ev.Lease == 0:
			b.rep.Addf("%s: revision %d claims %q without a lease", b.Place, rev, i.value)
		}
		if first := b.groups[i.group][0]; i.group != "" && first != i {
			b.rep.Addf("%s: revision %d claims %q before %q, which is the first of its group %q",
				b.Place, rev, i.value, first.value, i.group)
		}
		key := b.Place + "//c/" + ev.Key
		cl := &claimed{key: key, fence: rev}
		i.claims = append(i.claims, cl)
		if b.claims[key] == nil {
			b.claims[key] = map[int64]*claimed{}
		}
		b.claims[key][rev] = cl
	}
}

func (b *board) ended(rev int64, removed, released, done []Event) {
	gone := map[string]*item{}
	for _, ev := range removed {
		place, _ := split(ev.Key)
		i := b.here[place]
		if i == nil {
			continue
		}
		gone[i.value] = i
		i.removed = rev
		delete(b.here, place)
		b.groups[i.group] = slices.DeleteFunc(b.groups[i.group], func(o *item) bool { return o == i })
		if cl := i.claim(); cl == nil {
			b.rep.Addf("%s: revision %d removes %q, which nobody had claimed", b.Place, rev,
				i.value)
		} else {
			cl.acked, cl.left = true, rev
		}
	}
	for _, ev := range released {
		if i := b.here[ev.Key]; i != nil && i.claim() != nil {
			i.claim().left = rev
		}
	}
	for _, ev := range done {
		i := gone[ev.Key]
		if i == nil {
			b.rep.Addf("%s: revision %d says that %q is done, and does not remove it", b.Place, rev,
				ev.Key)
			continue
		}
		i.done += int(ev.Version)
	}
}

// produced compares the items in the log with the answers of the producers.
func (b *board) produced(ops []Op) {
	tried := map[string]bool{}
	var order []stamped
	for _, o := range ops {
		if o.Verb != Enqueue {
			continue
		}
		tried[o.Value] = true
		i := b.ever[o.Value]
		switch {
		case o.Outcome == OK && i == nil:
			b.rep.Addf("%s: %q was enqueued and is lost", b.Place, o.Value)
		case o.Outcome == Failed && i != nil:
			b.rep.Addf("%s: %q was not enqueued and is there, since revision %d: %s", b.Place,
				o.Value, i.created, o.Err)
		case o.Outcome == OK:
			order = append(order, stamped{o.Value, o.Call, o.Return, i.created})
		}
	}
	realTime(b.rep, order)
	for value := range b.ever {
		if !tried[value] {
			b.rep.Addf("%s: nobody has enqueued %q", b.Place, value)
		}
	}
}

// consumed compares the claims and acks in the log with the answers of the consumers.
func (b *board) consumed(ops []Op) {
	first := map[string][]stamped{} // by group, because groups do not wait for each other
	for _, o := range ops {
		cl := b.claims[o.Key][o.Fence]
		i := b.ever[o.Value]
		switch o.Verb {
		case Receive:
			if o.Outcome != OK {
				continue
			}
			if cl == nil || i == nil || !slices.Contains(i.claims, cl) {
				b.rep.Addf("%s: %s received %q by a claim at %d that the log does not have",
					b.Place, o.Client, o.Value, o.Fence)
			} else if n := slices.Index(i.claims, cl) + 1; n != o.Attempt {
				b.rep.Addf("%s: %s received %q as attempt %d; it was claim %d", b.Place, o.Client,
					o.Value, o.Attempt, n)
			} else if n == 1 {
				first[i.group] = append(first[i.group], stamped{
					o.Client + " " + i.place, o.Call, o.Return,
					number(i.place),
				})
			}
		case Ack:
			switch {
			case cl == nil:
				b.rep.Addf("%s: %s acked a claim of %q that the log does not have", b.Place,
					o.Client, o.Value)
			case o.Outcome == OK && !cl.acked:
				b.rep.Addf("%s: %s acked %q at %d, and the log does not say so", b.Place, o.Client,
					o.Value, o.Fence)
			case (o.Outcome == Refused || o.Outcome == Failed) && cl.acked && !b.retried(ops, o):
				b.rep.Addf("%s: the ack of %q at %d was refused and is in the log: %s", b.Place,
					o.Value, o.Fence, o.Err)
			}
		}
	}
	for _, group := range first {
		realTime(b.rep, group)
	}
}

// number returns the position of a place among the items, which all have one priority. Two
// concurrent Receives may get their items in either order. A Receive that began after another one
// was answered gets a later item, unless the item had been claimed before.
func number(place string) int64 {
	n, _ := strconv.ParseInt(place[strings.LastIndexByte(place, '/')+1:], 10, 64)
	return n
}

// retried reports whether another ack of the same claim explains the ack in the log.
func (b *board) retried(ops []Op, refused Op) bool {
	return slices.ContainsFunc(ops, func(o Op) bool {
		return o.Verb == Ack && o.Key == refused.Key && o.Fence == refused.Fence &&
			o.ID != refused.ID &&
			o.Client == refused.Client && o.Outcome != Refused && o.Outcome != Failed
	})
}

// Claim is one claim of an item.
type Claim struct {
	Key   string
	Fence int64
	Value string // of the item
	Acked bool
}

// Claims returns all claims of a queue in the log, in no particular order.
func Claims(log Log, place string) []Claim {
	b := Queues{Place: place}.replay(new(Report), log)
	var all []Claim
	for _, i := range b.ever {
		for _, cl := range i.claims {
			all = append(all, Claim{cl.key, cl.fence, i.value, cl.acked})
		}
	}
	return all
}
