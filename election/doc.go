// Package election elects one leader among processes, and lets any process observe which one leads.
//
// # Usage
//
//	err := election.Run(ctx, client, nil, "jobs", "10.0.0.7:8080",
//		func(ctx context.Context, term *election.Term) error {
//			return work(ctx, term.Fence()) // ctx ends if the leadership is lost
//		})
//
// Any process, candidate or not, finds the leader with [Election.Leader] and [Election.Observe].
// Programs that manage their own session call [Election.Campaign], and [Election.Resume] after a
// restart.
//
// # Guarantees
//
// Elections are fair: candidates lead in the order in which the server saw them campaign, except
// when a leader hands over to a chosen candidate ([Term.TransferTo]), and except that the highest
// [Options.Priority] comes first. Fences ([Term.Fence]) grow
// from term to term. A transaction with [Term.Guard] is applied only during the term, and a
// [Term.Proclaim] too, even if answers were lost or a request arrives late. A Campaign that failed
// leaves no candidate in etcd that could lead later.
//
// The context of a [Term] ends before another can be elected. Package session states the
// assumptions. [Run] does not resign before the function it runs has returned.
//
// [Election.Observe] never returns a state older than one it has returned before.
//
// # Limitations
//
// No election can stop a process that was paused, or whose lease etcd revoked too early, from
// acting as the leader for a moment after its term. Guard the writes to etcd, pass the fence to all
// other systems, and see [Options].
//
// A candidate with a higher priority makes each waiting candidate ahead of it join again once.
//
// Observe may skip states that others soon followed, and returns nothing new while etcd cannot be
// reached.
//
// # Concurrency
//
// All types and functions are safe for concurrent use.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name that cannot be used, [session.ErrLost] when the
// session ends or another client deletes the caller's key, and the context's error when ctx ends
// first, with [gateway.ErrUncertain] if a write was under way. If an error also matches
// ErrUncertain, check for it first.
//
// # Keys
//
// Candidates are leased keys <name>/<lease hex> with the value that the candidate shows, in a line
// as in package mutex. A leader that has waited in a long line puts its key a second time, which
// notifies the next candidate. The key of a candidate with a priority ends in -p<priority>, and
// after it has let others pass, also in the fence of its first key. clientv3/concurrency, etcdctl
// elect and etcd's election service use the same keys, so an election can be shared with them. Do
// not use the name of another recipe. While [Term.TransferTo] is under way, the key <name>//heir
// holds the create_revision of the candidate that is to lead next; the other libraries see it as
// one more candidate at the end. With a delay, holdfast/delay/<name> records how the last term
// ended.
//
// # Source
//
// The line of ephemeral nodes is from ZooKeeper's recipes, its form in etcd from
// clientv3/concurrency. The rule that a term lasts until its function has returned is from
// Curator's LeaderSelector.
package election
