// Package gateway is a client for etcd v3 over the HTTP/JSON gateway, without gRPC.
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
// One client serves a whole process. All its watches share one stream, and leases that are kept
// alive share requests.
//
// The calls about keys, leases and watches are methods of [Client]. [Client.Cluster] has the calls
// about members, the leader and alarms, [Client.Auth] those about users and roles. All of these use
// any endpoint. [Client.Member] has the calls about one member ([MemberClient.Status],
// [MemberClient.Defragment], [MemberClient.Snapshot], [MemberClient.Health] …), which are sent to
// that member only, once. [Client.Sync] updates the endpoints from the member list,
// [Client.Endpoints] reports the state of each.
//
// # Guarantees
//
// Every call returns when its context ends, even if the network drops every packet. One attempt is
// short (about a second). Reads, and writes that may be repeated, are retried at the next endpoint
// until the context ends. These are all reads, Grant, Revoke, KeepAliveOnce, and Compact without
// [Physical]; calls of [Auth] and [Cluster] say it themselves. Put, Delete, a Txn that writes,
// Create, PutIfExists, CompareAndSwap, UpdateRevision and PutSequential are sent at most once; they
// return [ErrUncertain] when the answer is lost.
//
// Options are never ignored. A call returns [ErrInvalid], before anything is sent, when an option
// does not fit the call or another option.
//
// With [Config].Namespace no request about keys reaches outside of the namespace: the empty prefix
// and [FromKey] end where it ends.
//
// A watch misses no event and repeats none, also when streams break and members fail, until history
// that it still needs is compacted. It then ends with [ErrCompacted].
//
// A linearizable answer returns [ErrRevisionRegressed] when its revision is below one seen before,
// because the cluster was then restored from a backup. An answer from another cluster returns
// [ErrClusterMismatch].
//
// Redirects are never followed, proxies from the environment are not used, compressed answers are
// refused, and the size of answers is bounded. Errors and log records hold no keys, values or
// credentials.
//
// # Limitations
//
// A write that returned ErrUncertain may still be applied later, as long as a copy of it waits in
// some member. Use a session for writes that must not be applied late, because its epoch makes late
// copies void.
//
// # Concurrency
//
// All functions, and all methods of [Client], [Auth], [Cluster] and [MemberClient], are safe for
// concurrent use. A [Watcher] and a [Snapshot] are for one reader. [Auth], [Cluster],
// [MemberClient], [Op], [Txn], [Cmp] and [Option] are values: they may be copied and used again,
// but the slices in them must not be changed during a call.
//
// # Errors
//
// Calls return an [*Error], which matches the sentinels that describe it. Every call returns
// [ErrInvalid] for arguments that cannot be right, [ErrClosed] after [Client.Close], the context's
// error, with the error of the last attempt, when the context ends first, and [ErrProtocol] when no
// endpoint answers as etcd's gateway. If an error also matches [ErrUncertain], check for it first.
//
// With auth on, every call returns [ErrUnauthenticated] or [ErrPermissionDenied] when etcd rejects
// the user. etcd lets a user renew or revoke a lease only if the user may write all its keys, and
// list its keys only if the user may read all of them. Only users with the role root may change
// users, roles, members, alarms and the leader, compact, and read or rewrite a whole database; old
// versions of etcd permit some of these to all.
//
// # Keys
//
// The client stores no keys of its own. [Client.PutSequential] keeps the last number in the key of
// the directory.
//
// # Source
//
// The protocol is etcd's gRPC gateway, as its rpc.proto maps it to HTTP. Calls, options and errors
// are named after clientv3. Dialing several addresses of a name follows RFC 8305.
package gateway
