// Package queue hands out work across processes: each item is with one consumer at a time, until one has done it.
//
// # Usage
//
//	q := queue.New(s, "jobs", &queue.Options{MaxAttempts: 5})
//	id, err := q.Enqueue(ctx, value, nil)
//
//	m, err := q.Receive(ctx)
//	if err != nil {
//		return err
//	}
//	if err := work(m.Context(), m.Value); err != nil {
//		return m.Nack(ctx, time.Second)
//	}
//	return m.Ack(ctx) // or AckWith, with the results
//
// [Queue.Consume] does the same in several goroutines.
//
// # Guarantees
//
// An item that Enqueue has returned an ID for is in the queue, once, and is delivered until it is acked or rejected, or
// has had its attempts. At each moment at most one consumer has it: a message is a claim under the consumer's session.
// When a consumer dies, its items are delivered again once its lease is gone. Attempts are counted by the transaction
// that claims, so that crashes count.
//
// Of all acks of an item, one succeeds. What [Message.AckWith] writes is written if and only if that one is, and so
// exactly once for each item, whatever answers are lost and whoever is killed when.
//
// Within a priority, each process hands out items in the order in which the server saw them enqueued. What a consumer
// gives back at once, or loses, keeps its place; so, in the process where it happens, does an item that a Receive which
// was cut short had not yet asked the server for. The time that an item takes does not grow with the number of those behind
// it.
//
// Every call returns when its context ends.
//
// # Requests
//
// What goroutines that share a session do at the same time shares requests: what comes while a transaction is under way goes
// with the next. The one that ends a message also claims the next item, if the last Receive came right after a message was
// ended; if none comes for it within 10 to 20 ms, it is given back. [Queue.Consume] claims as many ahead, up to 16, as its
// function has dealt with lately in 5 ms, and goes on while messages are being acked. For others, an item that waits so for
// its consumer is with it already: one of a higher priority does not overtake it, and a TryReceive elsewhere does not find
// it. With [Options.MaxAttempts] nothing is claimed ahead, since a crash would count as an attempt for what nobody got.
// [Message.AckWith] has a request of its own.
//
// # Not guaranteed
//
// Order among consumers: those that ask at the same time may claim in either order, and work at the same time. A higher
// priority, or what another process has given back, counts once the watch has told of it. Effects outside of etcd: an
// item can be worked on twice, when a consumer is paused or loses its lease with the work done and not yet acked; pass
// the fence ([session.Hold.Fence]) along, and work under the message's context. Delays go by the clock of the process
// that sets them and that of the consumer that ends them, and end only while there are consumers. A claim that is given
// back before it became a message is no attempt, but it is one if the session ends first; until it has been given back,
// those behind it may be received. A claim that an operator deletes while the answer to its Ack is lost makes that Ack a
// success. If the session is lost while the answer is missing, the Ack is [session.ErrNotHeld] and
// [gateway.ErrUncertain]: it may have been applied.
//
// etcd is a small store: it keeps all items in memory, in 2 GiB by default. An item has at most 1 MiB ([MaxValue]). All
// consuming processes receive all items, whoever claims them, through their watches.
//
// # Keys
//
// All lie under <name>//; a place is <9 - priority>/<number>.
//
//	<name>//tail               the number of the next item
//	<name>//q/<place>          an item: a line of JSON, then the value
//	<name>//c/<place>          its claim, under the lease of the consumer's session
//	<name>//t/<place>          its attempts: the version of the key
//	<name>//r/<place>          how many of them do not count: the version of the key
//	<name>//d/<due>/<id>       a delayed item, by its time in milliseconds
//	<name>//x/<id>             a dead letter
//	<name>//u/<dedup ID>       the ID of the item, under a lease of twice the window
//	<name>//w/<lease hex>      who takes turns at the end
//	<name>//paused             there while the queue is paused
//
// A tail, or a de-duplication key, that holds what this library does not write is
// [session.ErrCorrupt]. An item that is none becomes a dead letter. A claim that is under no lease
// is deleted by the next consumer.
//
// # Source
//
// Claims that are given back by themselves are from kazoo's LockingQueue, the acknowledgement with writes of its own from
// River's JobCompleteTx. Numbering the items by a compared tail makes their order that of their commits.
package queue
