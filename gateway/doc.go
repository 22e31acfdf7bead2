// Package gateway is a client for etcd v3 that speaks the HTTP/JSON gateway: no gRPC, the standard library and a
// back-off.
//
// # Usage
//
//	c, err := gateway.New(gateway.Config{Endpoints: []string{"http://127.0.0.1:2379"}})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	_, err = c.Put(ctx, "greeting", []byte("hello"))
//
// One client serves a whole process. All its watches share one stream, all its kept leases share requests.
//
// The calls about keys, leases and watches are methods of [Client]. [Client.Cluster] has those
// about members, the leader and alarms, [Client.Auth] those about users and roles; like those about
// keys they go to any endpoint. [Client.Member] has those about one member ([MemberClient.Status],
// [MemberClient.Defragment], [MemberClient.Snapshot], [MemberClient.Health] …), which go to that
// member only, once. [Client.Sync] follows the members that come and go; [Client.Endpoints] tells
// how each did.
//
// # Guarantees
//
// Every call returns when its context ends, also on a link that swallows everything. One attempt is short (about a
// second); reads, and writes that may be repeated, go on at the next endpoint until the context ends. Any other write
// is sent at most once: when its answer is lost the call returns [ErrUncertain], and never a guess. What goes on are all
// reads, Compact without [Physical], Grant, Revoke and KeepAlive; what is sent once are Put, Delete, a Txn that writes,
// Create, Update, Replace, ReplaceAt and PutSequential.
//
// An option that does not fit a call, or another option, is [ErrInvalid] before anything is sent; none is ignored.
//
// With a [Config].Namespace, no request reaches outside of it: the empty prefix, and [FromKey], end where it ends.
//
// A watch misses no event and repeats none, whatever happens to streams and members, unless history is compacted away
// under it, which ends it with [ErrCompacted].
//
// A linearizable answer whose revision lies below one seen before is refused ([ErrRevisionRegressed]): the cluster was
// restored from a backup. So is an answer from another cluster ([ErrClusterMismatch]).
//
// # Not guaranteed
//
// A write that returned ErrUncertain may still be applied later, as long as a copy of it waits in some member. Writes
// that must not come back belong to a session, whose epoch turns late copies away.
//
// # Security
//
// Redirects are never followed, proxies from the environment not used, compressed answers refused, answers bounded.
// Errors and log records hold no keys, values or credentials.
package gateway
