// Package election elects one leader among processes, and shows everybody who it is.
//
// # Usage
//
//	err := election.Run(ctx, client, nil, "jobs", "10.0.0.7:8080", func(ctx context.Context, term *election.Term) error {
//		return work(ctx, term.Fence()) // ctx ends if the leadership is lost
//	})
//
// Those who are not leader, or not even candidates, see who leads with [Election.Leader] and [Election.Observe]. Programs
// that look after their session themselves call [Election.Campaign], and [Election.Resume] after a restart.
//
// # Guarantees
//
// The elections are fair: whoever campaigned first, as the server saw it, leads next, save where a leader steps down for
// another ([Term.TransferTo]). Fences ([session.Hold.Fence]) grow from term to term. A transaction with
// [session.Hold.Guard] is applied only during the term, and so is [Term.Proclaim], whatever answers were lost and
// however late a request arrives. A Campaign that failed leaves no candidate behind that could lead later.
//
// The context of a [Term] ends before another can be elected, as long as clocks run within 1 % of each other and etcd
// keeps leases for their time to live. [Run] does not give up a term before the function it runs has returned.
//
// [Election.Observe] never shows a state older than one it has shown.
//
// # Not guaranteed
//
// No election can keep a process that was paused, or whose lease etcd revoked too early, from acting as the leader for a
// moment after its term. Guard what is written to etcd, pass the fence to everything else, and see [Options].
//
// Observe may leave out states that were followed by others at once, and shows nothing new while etcd cannot be reached.
//
// # Keys
//
// Candidates are leased keys <name>/<lease hex>, ordered by create_revision, whose values are what they show; the first
// leads. That is how clientv3/concurrency, etcdctl elect and etcd's election service have it, with which an election
// can be shared. "a", "a/" and "a/b" are three elections; to the others, who count all keys below <name>/, a candidate of "a/b"
// stands in the line of "a". Do not use the name of another recipe. While [Term.TransferTo] is under way the key
// <name>//heir holds the create_revision of the candidate that is to lead next; the others see it as one more candidate
// at the end. With a delay, holdfast/delay/<name> says how the last term ended.
//
// # Source
//
// The line of ephemeral nodes is from ZooKeeper's recipes, its form in etcd from clientv3/concurrency. That a term does
// not end before its function has is from Curator's LeaderSelector.
package election
