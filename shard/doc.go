// Package shard divides n shards among the members of a group. Each shard is held by one member at
// a time.
//
// # Usage
//
//	err := shard.Run(ctx, client, "tenants", 256, func(ctx context.Context, s *shard.Shard) error {
//		return serve(ctx, s.Number(), s.Fence()) // ctx ends when the shard moves or is lost
//	}, &shard.Options{Member: member.Options{ID: hostname, Value: addr}})
//
// Any process finds the member of a shard, and an address to route to, with [Owner] and [Observe].
// Operators stop a shard with [Pause], and move the shards of a member away with [Drain].
//
// # Guarantees
//
// Each shard is a hold of its own, as of package mutex: a fence that grows from owner to owner, a
// guard, transactions that are applied only under the hold. A new owner starts after the hold of
// the owner before has ended. This does not depend on the assignment, which may be late or wrong.
//
// The assignment gives each member its share by weight. Shares of members with equal weights differ
// by at most one shard. A change of the group moves as few shards as possible; at a join these are
// at most ⌈n/m⌉, with m members after the join.
//
// When functions report loads with [Shard.ReportLoad], the assignment balances these instead. It
// moves shards when a member has a quarter more or less than its part, until all are within a
// twentieth, as far as the sizes of the shards allow. A shard without a report counts as the mean.
//
// A member that leaves, or whose share becomes smaller, hands shards over one after the other. The
// next owner waits in the line of the shard before the function ends, so that it starts one round
// trip after the function has returned. The shards of a member that dies are held again when its
// lease has ended, and at most a second later. A member that loses only its session returns within
// a fraction of a second, and keeps its shards.
//
// # Limitations
//
// The assignment needs a live leader, one of the members. When it dies, nothing moves until its
// lease ends; all other shards go on. A leader that hangs while its session is renewed stops all
// moves. A function that does not return when its context ends keeps its shard, and while it keeps
// the turn, the other hand-overs of its member.
//
// The number of shards of a group is fixed by its first leader; others with another number get
// [ErrMismatch]. To change it, stop all members and delete the key <group>//assignment. There are
// at most [MaxShards].
//
// # Concurrency
//
// All types and functions are safe for concurrent use. Each shard has a goroutine of its own.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name or options that cannot be used, and the context's
// error when ctx ends first.
//
// # Keys
//
//	<group>//members/<ID>            the members, see package member
//	<group>//shards/<shard>/<lease>  the owner and the next owners of a shard: a line as in package
//	                                 mutex; the value is the member's ID, and the shard's value on
//	                                 the next line
//	<group>//leader/<lease>          the leader, and the members that wait to lead: a line
//	<group>//loads/<ID>              the loads of a member's shards, as JSON
//	<group>//assignment              the assignment, as JSON; it stays when all members have left
//	<group>//assignment/paused/<shard>, <group>//assignment/drained/<ID>
//	                                 the orders of operators, as JSON
//
// # Source
//
// One leader decides and writes the whole assignment to one key, because each member then acts on
// the same state, a decision is not computed again while its moves are under way, and a member
// watches one key, with the orders below it, instead of all holds. If all members computed it, each
// would need the holds of all others, and two that see different states would contend for a shard.
// Google's Slicer and Cadence's shard manager have a leader too. Safety by a lease for each shard
// is from Azure's blob leases, the bounded loads of the assignment are from consistent hashing, and
// the hash is rendezvous hashing.
package shard
