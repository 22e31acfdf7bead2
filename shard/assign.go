package shard

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// node is a member as the assignment sees it.
type node struct {
	ID     string `json:"id"`
	Zone   string `json:"zone,omitempty"`
	weight int
}

// noMember is the place of a shard that no member has.
const noMember = -1

// assign returns the table in which each member has its share of the n shards. It is a pure
// function: it depends on the members, not on their order, and on the table before.
//
//   - Shares are in proportion to the weights, rounded by the largest remainder. So two members
//     with equal weights differ by at most one shard. Of members with equal remainders, the shares
//     of those with more shards are rounded up, because fewer shards move then.
//   - A member keeps its shards up to its share. Only surplus shards, and shards without a member,
//     move. A second call changes nothing.
//   - A shard whose member is drained or gone keeps it as its home, and moves back first when the
//     member returns. When another member joins instead, it gets these shards first. So a shard
//     moves twice when all members are restarted one after the other.
//   - A shard that moves stays in its zone if a member there has room. Otherwise a hash of shard
//     and member decides.
func assign(n int, members []node, before table) table {
	p, homeless := newPlacement(n, members, before)
	if len(p.members) > 0 {
		p.share(n)
		taken := p.surplus()
		for _, s := range slices.Sorted(slices.Values(append(homeless, taken...))) {
			p.place(s)
		}
		for _, s := range taken { // it moves for good
			p.homes[s] = p.members[p.to[s]].ID
		}
	}
	return p.table(n)
}

// newPlacement returns a placement in which the members that take shards keep theirs, and the
// shards of others.
func newPlacement(n int, members []node, before table) (p *placement, homeless []int) {
	members = slices.DeleteFunc(slices.Clone(members), func(m node) bool { return m.weight == 0 })
	slices.SortFunc(members, func(a, b node) int { return cmp.Compare(a.ID, b.ID) })
	p = &placement{
		members: members, index: make(map[string]int, len(members)),
		hashes: make([]uint64, len(members)), has: make([][]int, len(members)),
		zones: make([]string, n), homes: make([]string, n), to: make([]int, n),
	}
	for i, m := range members {
		p.index[m.ID], p.hashes[i] = i, hash(m.ID)
	}
	for s := range n {
		owner, _ := before.at(before.Shards, s)
		home, known := before.at(before.Homes, s)
		p.zones[s], p.homes[s] = owner.Zone, home.ID
		if !known {
			p.homes[s] = owner.ID
		}
		i, here := p.index[owner.ID]
		if here {
			p.has[i] = append(p.has[i], s)
		} else {
			i = noMember
			homeless = append(homeless, s)
		}
		p.to[s] = i
	}
	return p, homeless
}

// table returns the table of a placement. Its members include those that are only homes.
func (p *placement) table(n int) table {
	t := table{N: n, Members: p.members, Shards: p.to, Homes: make([]int, n)}
	for s, home := range p.homes {
		if home == "" && p.to[s] != noMember {
			home = p.members[p.to[s]].ID
		}
		i, known := p.index[home]
		switch {
		case home == "":
			i = noMember
		case !known:
			i = len(t.Members)
			p.index[home] = i
			t.Members = append(t.Members, node{ID: home})
		}
		t.Homes[s] = i
	}
	if slices.Equal(t.Homes, t.Shards) {
		t.Homes = nil
	}
	return t
}

// placement is the state of an assignment that is being made. Members are named by their index.
type placement struct {
	members []node
	index   map[string]int // of the members by ID, in a table also of homes
	hashes  []uint64       // of the members' IDs
	has     [][]int        // the shards of each member
	room    []int          // the shards that each member lacks; negative if it has too many
	zones   []string       // of the member that had each shard
	homes   []string       // the IDs of the homes of the shards
	to      []int          // the member of each shard
}

// share computes the room of each member.
func (p *placement) share(n int) {
	total := int64(0)
	for _, m := range p.members {
		total += int64(m.weight)
	}
	p.room = make([]int, len(p.members))
	rest := n
	order, remainder := make([]int, len(p.members)), make([]int64, len(p.members))
	for i, m := range p.members {
		exact := int64(n) * int64(m.weight)
		whole := int(exact / total)
		p.room[i], order[i], remainder[i] = whole-len(p.has[i]), i, exact%total
		rest -= whole
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(remainder[b], remainder[a]),
			cmp.Compare(len(p.has[b]), len(p.has[a])),
			cmp.Compare(a, b),
		)
	})
	for _, i := range order[:rest] {
		p.room[i]++
	}
}

// surplus takes the shards beyond their shares from the members: first those whose home has room,
// then others that are not at home, then those that would rather be with a member that has room.
func (p *placement) surplus() (taken []int) {
	for i, have := range p.has {
		if p.room[i] >= 0 {
			continue
		}
		away, gain := make(map[int]int, len(have)), make(map[int]int64, len(have))
		for _, s := range have {
			gain[s] = p.score(s, p.best(s)) - p.score(s, i)
			if p.homes[s] != p.members[i].ID {
				away[s] = 1
			}
			if p.roomAtHome(s) {
				away[s] = 2
			}
		}
		slices.SortFunc(have, func(a, b int) int {
			return cmp.Or(cmp.Compare(away[b], away[a]), cmp.Compare(gain[b], gain[a]),
				cmp.Compare(a, b))
		})
		taken = append(taken, have[:-p.room[i]]...)
	}
	return taken
}

func (p *placement) roomAtHome(s int) bool {
	home, here := p.index[p.homes[s]]
	return here && p.room[home] > 0
}

// place gives a shard to its home, or else to the best member that has room.
func (p *placement) place(s int) {
	i := p.index[p.homes[s]]
	if !p.roomAtHome(s) {
		i = p.best(s)
	}
	p.to[s] = i
	p.room[i]--
}

// best returns the member with room that a shard prefers.
func (p *placement) best(s int) int {
	best, same, score := noMember, false, int64(0)
	for i, room := range p.room {
		if room <= 0 {
			continue
		}
		zone, sc := p.members[i].Zone == p.zones[s], p.score(s, i)
		if best == noMember || zone && !same || zone == same && sc > score {
			best, same, score = i, zone, sc
		}
	}
	return best
}

// score is the preference of a shard for a member, the highest random weight of rendezvous hashing.
func (p *placement) score(s, member int) int64 {
	if member == noMember {
		return 0
	}
	return int64(mix(p.hashes[member]^mix(uint64(s))) >> 1) //nolint:gosec // 63 bits fit
}

func hash(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum64()
}

// mix is the finalizer of splitmix64. All programs of a group must compute the same.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
