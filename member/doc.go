// Package member keeps a process registered in a group, and shows any process the members of a
// group.
//
// # Usage
//
//	m, err := member.Join(ctx, client, "services/api", &member.Options{
//		ID: "api-0", Value: "10.0.0.7:8080",
//	})
//	if err != nil {
//		return err
//	}
//	defer m.Leave(ctx)
//
//	for view, err := range member.Observe(ctx, client, "services/api") { … }
//
// [Run] also calls a function with each session of the member, for holds that are to end with it.
//
// # Guarantees
//
// A member stays in its group for as long as its context lives. It opens a session of its own, and
// another one after each loss. It puts its key back after the loss, after an outage of any length,
// and after another client has deleted or overwritten the key. A process that dies is gone from the
// group when its lease ends.
//
// A group has one member with an ID at a time. A member that returns after a loss replaces its own
// earlier key without waiting for the lease, because the key holds a random token of the
// [Membership]. A member that has ended never returns. The last [Membership.Update] counts.
//
// A [View] is complete at its revision. The views of one [Observe] never go back, also after a
// compaction or a cut, and no view has an ID twice.
//
// # Limitations
//
// A view shows the keys, not the processes: a process that died is shown until its lease ends, and
// a process that is cut off may run although it is no longer shown. Use a lock where that matters.
// Each process that observes receives every change of the group, and holds all members in memory.
// While the database of etcd is full, a member that lost its session cannot return.
//
// # Concurrency
//
// All types and functions are safe for concurrent use. The observers of a client share one watch
// for each group.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name or options that cannot be used, and the context's
// error when ctx ends first, with [gateway.ErrUncertain] if a write was under way.
//
// # Keys
//
// A member is a leased key <group>//members/<ID> with a line of JSON and the value. The JSON has a
// token of the membership, the weight and the zone.
//
// # Source
//
// The node that heals itself is Curator's PersistentNode, and the group its GroupMember. Kubernetes
// calls the read with a watch after it list-then-watch.
package member
