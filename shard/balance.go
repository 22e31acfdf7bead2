package shard

import (
	"cmp"
	"slices"
)

// unknownLoad is the load of a shard for which none was reported. It counts as the mean of the
// known loads.
const unknownLoad = -1

// The assignment by load tolerates differences, because loads change all the time and each move
// costs a hand-over. It acts when a member has more than outer of its fair load, or less by as
// much, and moves shards until all are within inner, as far as the sizes of the shards allow.
const (
	outer = 0.25
	inner = 0.05
)

// assignByLoad is [assign] for shards with loads. Members have parts of the whole load in
// proportion to their weights, within a tolerance. A second call changes nothing.
func assignByLoad(n int, members []node, before table, loads []int) table {
	p, homeless := newPlacement(n, members, before)
	if len(p.members) > 0 {
		b := newBalance(p, loads)
		b.placeHomeless(homeless)
		if b.exceeds(outer) {
			b.rebalance()
		}
	}
	t := p.table(n)
	t.Loads = loads
	return t
}

// balance is a placement with loads.
type balance struct {
	*placement
	load []float64 // of each shard
	sum  []float64 // of each member
	fair []float64 // of each member
}

func newBalance(p *placement, loads []int) *balance {
	b := &balance{
		placement: p, load: make([]float64, len(loads)),
		sum: make([]float64, len(p.members)), fair: make([]float64, len(p.members)),
	}
	known, sum := 0, 0
	for _, load := range loads {
		if load != unknownLoad {
			known, sum = known+1, sum+load
		}
	}
	mean := float64(sum) / float64(max(known, 1))
	total, weights := 0.0, 0.0
	for s, load := range loads {
		b.load[s] = float64(load)
		if load == unknownLoad {
			b.load[s] = mean
		}
		b.load[s] = max(b.load[s], mean/100, 1) // a shard without work is not free
		total += b.load[s]
		if i := p.to[s]; i != noMember {
			b.sum[i] += b.load[s]
		}
	}
	for _, m := range p.members {
		weights += float64(m.weight)
	}
	for i, m := range p.members {
		b.fair[i] = total * float64(m.weight) / weights
	}
	return b
}

// relative returns the load of a member if it had more, as a part of its fair load.
func (b *balance) relative(i int, more float64) float64 { return (b.sum[i] + more) / b.fair[i] }

func (b *balance) exceeds(tolerance float64) bool {
	for i := range b.members {
		if r := b.relative(i, 0); r > 1+tolerance || r < 1-tolerance {
			return true
		}
	}
	return false
}

// placeHomeless gives each shard without a member to its home if it has room there, and else to the
// member with the smallest load, in its zone if one has room there. The greatest shards come first.
func (b *balance) placeHomeless(homeless []int) {
	slices.SortFunc(homeless, func(s, o int) int {
		return cmp.Or(cmp.Compare(b.load[o], b.load[s]), cmp.Compare(s, o))
	})
	for _, s := range homeless {
		best, here := b.index[b.homes[s]]
		if !here || b.relative(best, b.load[s]) > 1+inner {
			best = 0
			for i := range b.members {
				if b.prefers(s, i, best) {
					best = i
				}
			}
		}
		b.to[s] = best
		b.sum[best] += b.load[s]
		b.has[best] = append(b.has[best], s)
	}
}

// prefers reports whether a shard without a member should rather go to i than to best.
func (b *balance) prefers(s, i, best int) bool {
	room := func(i int) int {
		if b.members[i].Zone == b.zones[s] && b.relative(i, b.load[s]) <= 1+inner {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(room(i), room(best)),
		cmp.Compare(b.relative(best, b.load[s]), b.relative(i, b.load[s])),
		cmp.Compare(b.score(s, i), b.score(s, best)),
	) > 0
}

// rebalance moves shards from the members with the most load to the one with the least, until all
// are within inner or no move makes the greatest load smaller.
func (b *balance) rebalance() {
	for range b.to { // more moves than shards are never needed
		if !b.exceeds(inner) || !b.moveOne() {
			return
		}
	}
}

func (b *balance) moveOne() bool {
	order := make([]int, len(b.members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(b.relative(j, 0), b.relative(i, 0)), cmp.Compare(i, j))
	})
	to := order[len(order)-1]
	for _, from := range order[:len(order)-1] {
		if k := b.candidate(from, to); k >= 0 {
			s := b.has[from][k]
			b.has[from] = slices.Delete(b.has[from], k, k+1)
			b.has[to] = append(b.has[to], s)
			b.sum[from] -= b.load[s]
			b.sum[to] += b.load[s]
			b.to[s], b.homes[s] = to, b.members[to].ID
			return true
		}
	}
	return false
}

// candidate returns the index of the shard of a member that another one should have: the one that
// makes both most alike, and of equal ones the one that has its home there. It returns -1 if the
// other one would have as much as the first has now.
func (b *balance) candidate(from, to int) int {
	best, distance, home := -1, 0.0, false
	ideal := (b.sum[from]*b.fair[to] - b.sum[to]*b.fair[from]) / (b.fair[from] + b.fair[to])
	for k, s := range b.has[from] {
		if b.relative(to, b.load[s]) >= b.relative(from, 0) {
			continue
		}
		d, h := b.load[s]-ideal, b.homes[s] == b.members[to].ID
		d = max(d, -d)
		if best < 0 || d < distance || d == distance && h && !home {
			best, distance, home = k, d, h
		}
	}
	return best
}
