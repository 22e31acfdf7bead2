package shard

import "github.com/holdfast-go/holdfast/member"

// Plan is an assignment that is not in etcd. It shows the moves of a change of a group before. It
// is a value, and the zero Plan is a group without an assignment.
type Plan struct{ t table }

// Next returns the assignment of n shards that a leader would make after p. Members with a weight
// of 0 get no shards, and a weight beyond the limits of package member counts as the limit. Next
// has no limit of n, and takes time in proportion to the shards that move times the members.
func (p Plan) Next(n int, members []member.Member) Plan {
	nodes := make([]node, len(members))
	for i, m := range members {
		nodes[i] = node{m.ID, m.Zone, min(max(m.Weight, 0), member.MaxWeight)}
	}
	return Plan{assign(max(n, 0), nodes, p.t)}
}

// Owner returns the ID of the member of a shard, or "".
func (p Plan) Owner(shard int) string {
	if shard < 0 {
		return ""
	}
	owner, _ := p.t.owner(shard)
	return owner.ID
}

// Moves returns the number of shards that have another member in next, or none.
func (p Plan) Moves(next Plan) int { return p.t.moves(next.t) }

// Size returns the number of bytes of the assignment in etcd. Each member receives them after each
// change.
func (p Plan) Size() int { return len(p.t.encode()) }
