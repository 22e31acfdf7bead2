// Package holdfast is the root of a library of distributed-coordination recipes over etcd v3's
// HTTP/JSON gateway: plain net/http, no gRPC. It has no API of its own; its sub-packages do:
//
//   - [github.com/holdfast-go/holdfast/gateway] is the client: requests, watches and leases on one
//     or more endpoints.
//   - [github.com/holdfast-go/holdfast/session] keeps a lease alive, and ends before the lease can
//     expire.
//   - [github.com/holdfast-go/holdfast/mutex] is a fair lock on a name, for one holder or many
//     readers, or on several names.
//   - [github.com/holdfast-go/holdfast/election] elects a leader and shows it to all observers.
//   - [github.com/holdfast-go/holdfast/semaphore] admits as many holders as its limit allows, by
//     weight.
//   - [github.com/holdfast-go/holdfast/barrier] lets processes wait for each other, for a count, or
//     for one of them.
//   - [github.com/holdfast-go/holdfast/once] runs a function once for all its callers, and gives
//     them its result.
//   - [github.com/holdfast-go/holdfast/cache] keeps a copy of the keys with a prefix, which is read
//     without requests.
//   - [github.com/holdfast-go/holdfast/member] keeps processes registered in a group, and shows the
//     group.
//   - [github.com/holdfast-go/holdfast/cron] runs a function at the times of a schedule, once for
//     all replicas.
//   - [github.com/holdfast-go/holdfast/stm] makes a function's reads and writes of keys one
//     transaction.
//   - [github.com/holdfast-go/holdfast/limit] limits a rate over all processes, counts, and makes
//     unique numbers.
//   - [github.com/holdfast-go/holdfast/shard] divides shards among the members of a group.
//   - [github.com/holdfast-go/holdfast/queue] distributes work, and redelivers it if it is not
//     acknowledged.
//   - [github.com/holdfast-go/holdfast/holdfasttest] is an etcd in memory, for tests of programs.
//
// The module github.com/holdfast-go/holdfast/holdfastotel makes OpenTelemetry metrics and spans.
// The modules below github.com/holdfast-go/holdfast/adapters are for users of gocron, robfig/cron,
// goose and golang-migrate.
//
// # Guarantees
//
// A hold, such as a lock or a term of a leader, is a value. Its context ends before the lease
// behind it can expire, or within one watch latency when the server takes the lease away early. Its
// fence is a revision that only grows, and its guard makes the caller's own etcd transactions fail
// once the hold is gone. A write of a session is applied at most once, even if a copy of an
// unanswered request arrives late, and a session that has lost its lease cannot write. Every call
// returns when its context ends.
//
// # Limitations
//
// A hold does not stop a program that continues after the hold's context has ended, and a paused
// process cannot see the end. No two programs hold one name at the same time in etcd. For a
// resource outside of etcd this is true only if the resource refuses a fence lower than the highest
// it has seen.
//
// The file docs/guarantees.md lists the promises of each recipe, their assumptions and their tests.
// docs/keys.md lists every key in etcd.
package holdfast
