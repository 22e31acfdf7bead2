package queue

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
)

// gap is a range of places, from the first up to, not including, the last, that has no item and
// will have none: its items are gone, and new ones have greater numbers. Reads and counts leave
// gaps out, because etcd passes all keys that were deleted there since the last compaction.
//
// A gap is right for ever, so a late or repeated write of gaps does no harm. An item that is held
// for long is between two gaps.
type gap struct{ from, to string }

// gaps are those of a queue, in the order of the places.
type gaps struct {
	tail int64 // create_revision of the tail's key: the numbers begin again if the key does
	list []gap
}

func (g gap) width() int64 { return numberOf(g.to) - numberOf(g.from) }

func numberOf(place string) int64 {
	n, _ := strconv.ParseInt(place[2:], 10, 64) // it has digits only
	return n
}

func (g gaps) encode() []byte {
	out := strconv.AppendInt(nil, g.tail, 10)
	for _, r := range g.list {
		out = append(out, " "+r.from+"-"+r.to...)
	}
	return out
}

// gapsOf reads the key of the gaps, as they are of this tail: there is none if they are of another.
func gapsOf(stored, tail *gateway.GetResponse) gaps {
	g := parseGaps(stored)
	if created, _ := tailOf(tail); created == 0 || g.tail != created {
		return gaps{}
	}
	return g
}

// parseGaps reads the key of the gaps. A value that is not of this library is as none.
func parseGaps(got *gateway.GetResponse) gaps {
	if len(got.KVs) == 0 {
		return gaps{}
	}
	head, rest, _ := bytes.Cut(got.KVs[0].Value, []byte{' '})
	tail, err := strconv.ParseInt(string(head), 10, 64)
	if err != nil {
		return gaps{}
	}
	g := gaps{tail: tail}
	for field := range strings.FieldsSeq(string(rest)) {
		from, to, _ := strings.Cut(field, "-")
		p, ok := priorityOf(from)
		q, also := priorityOf(to)
		if !ok || !also || p != q || from >= to {
			return gaps{}
		}
		g.list = append(g.list, gap{from, to})
	}
	return g.with(nil)
}

// with returns the gaps and more of them, of which the widest are kept.
func (g gaps) with(more []gap) gaps {
	all := append(slices.Clone(g.list), more...)
	slices.SortFunc(all, func(a, b gap) int { return strings.Compare(a.from, b.from) })
	var list []gap
	for _, next := range all {
		if n := len(list); n > 0 && list[n-1].to >= next.from && list[n-1].from[0] == next.from[0] {
			list[n-1].to = max(list[n-1].to, next.to)
			continue
		}
		list = append(list, next)
	}
	for len(list) > maxGaps {
		i := 0
		for j, r := range list {
			if r.width() < list[i].width() {
				i = j
			}
		}
		list = slices.Delete(list, i, i+1)
	}
	return gaps{tail: g.tail, list: list}
}

// beyond returns the parts of the gaps that are in none of the others, at most one more than both
// have gaps.
func (g gaps) beyond(others gaps) (parts []gap) {
	for _, r := range g.list {
		from := r.from
		for _, o := range others.list {
			if o.to <= from || o.from >= r.to {
				continue
			}
			if from < o.from {
				parts = append(parts, gap{from, o.from})
			}
			from = o.to
		}
		if from < r.to {
			parts = append(parts, gap{from, r.to})
		}
	}
	return parts
}

// between returns the ranges of keys with the prefix, from a place on, that are in no gap.
func (g gaps) between(prefix, from string) (ranges []gap) {
	for _, r := range g.list {
		if r.to <= from {
			continue
		}
		if from < r.from {
			ranges = append(ranges, gap{prefix + from, prefix + r.from})
		}
		from = r.to
	}
	return append(ranges, gap{prefix + from, until(prefix)})
}

// betweenGaps reads in one transaction what ops returns for the stored gaps, or for none if they
// belong to another tail.
func (p *producer) betweenGaps(
	ctx context.Context, ops func(known gaps) []gateway.Op,
) (*gateway.TxnResponse, error) {
	c := p.host.Client()
	got, err := c.Get(ctx, p.keys.gaps)
	if err != nil {
		return nil, err
	}
	known := parseGaps(got)
	return c.Txn(ctx, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision(p.keys.tail, gateway.Equal, known.tail)},
		Then: ops(known),
		Else: ops(gaps{}),
	})
}

// countOf returns the sum of counts.
func countOf(answers []gateway.OpResponse) (n int64) {
	for _, a := range answers {
		n += a.Get.Count
	}
	return n
}
