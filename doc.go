// Package holdfast is the root of a library of distributed-coordination recipes over etcd v3's HTTP/JSON gateway: plain
// net/http, no gRPC. It has no API of its own; its sub-packages do:
//
//   - [github.com/holdfast-go/holdfast/gateway] is the client: requests, watches and leases on one or more endpoints.
//   - [github.com/holdfast-go/holdfast/session] keeps a lease alive and knows the moment from which it may not be relied on.
//   - [github.com/holdfast-go/holdfast/mutex] is a fair lock on a name, for one or for many readers, or on several names.
//   - [github.com/holdfast-go/holdfast/election] picks a leader and tells everybody who it is.
//   - [github.com/holdfast-go/holdfast/semaphore] lets in as many as fit.
//   - [github.com/holdfast-go/holdfast/barrier] has many wait for each other, or for a count, or for somebody.
//   - [github.com/holdfast-go/holdfast/queue] hands out work, and again if it is not acknowledged.
//
// # Promise
//
// A hold is a value. Its context ends before the lease behind it can expire, or within one watch latency when the server
// takes the lease away early. Its fence is a revision that only grows, and its guard makes the caller's own etcd
// transactions fail once the hold is gone. A write of a session is applied at most once, however late a copy of a try that
// was not answered arrives, and a session that has lost its lease cannot write at all. Every call returns when its context ends.
//
// # No promise
//
// A hold does not stop a program that goes on after the hold's context has ended, and a process that is paused cannot see
// that it has. No two programs hold one name at once as etcd sees it; for a resource outside of etcd that is true only
// when the resource itself refuses a fence lower than the highest it has seen.
//
// The file docs/guarantees.md tells for each recipe what it promises, on which assumption, and which test shows it;
// docs/keys.md lists every key in etcd.
package holdfast
