// Package queue is a work queue across processes: one consumer at a time holds an item, until a
// consumer acks it.
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
// [Queue.Consume] does the same in several goroutines. A [Producer] enqueues without a session.
//
// # Guarantees
//
// An item whose ID Enqueue has returned is in the queue once, and is delivered until it is acked or
// rejected, or its attempts are used up. At any moment at most one consumer holds it, because a
// message is a claim under the consumer's session. If a consumer dies, its items are delivered
// again after its lease has expired. The transaction that claims an item for a caller counts the
// attempt, so that attempts that end in a crash count. A claim ahead ([Options.Prefetch]) counts no
// attempt: with [Options.MaxAttempts] the attempt is counted before the message is delivered, and
// without it when the message is given back.
//
// Only one ack of an item succeeds. The operations of [Message.AckWith] are applied with that ack
// or not at all, and so exactly once for each item, even if answers are lost or processes are
// killed.
//
// Within a priority, each process hands out items in the order in which the server saw them
// enqueued. An item that a consumer gives back at once, or loses, keeps its place. An item also
// keeps its place in its process if a Receive is cancelled before it has sent the claim. The time
// to deliver an item does not grow with the number of items behind it.
//
// Of the items of one group and one priority ([EnqueueOptions].Group), only the first is claimed,
// or the first ones, as many as [Options].PerGroup. The next one is claimed after the first was
// acked or rejected. An item that is given back, with or without a delay, or lost, is delivered
// again before the rest of its group. Items of other groups do not wait for it. A group costs no
// request and no key.
//
// With [Options.MaxInFlight], all consumers together have claimed at most so many items.
//
// Every call returns when its context ends, except that [Queue.Consume] then waits for the running
// calls of its function.
//
// # Limitations
//
// There is no order among consumers: if several receive at the same time, they may claim in either
// order, and work at the same time. An item of a higher priority, or one that another process gave
// back, is considered only after the watch has reported it.
//
// An item can be worked on twice if a consumer is paused, or loses its lease after the work and
// before the ack. Pass the fence ([session.Hold.Fence]) to systems outside etcd, and work under the
// message's context.
//
// A delayed item of a group takes its place in the group when the delay ends, and a dead letter
// when it is redriven. If consumers have different [Options].PerGroup, the greatest counts. Each
// consuming process keeps the keys of the items in memory that wait for others of their group.
//
// A session finds out what became of an enqueue whose answer was lost. A [Producer] looks for that
// in etcd's history, and returns [gateway.ErrUncertain] if the history has been compacted.
//
// A delay starts by the clock of the process that sets it. It ends by the clock of a consumer, and
// only while there are consumers.
//
// With [Options.Prefetch], a claim and an ack of Consume wait for others for up to 5 ms, unless
// there are enough for half of the Prefetch, or there is a MaxInFlight. Items that are claimed
// ahead stay claimed until they are received, a [Queue.Consume] of the Queue returns, or the
// session ends. No other consumer receives them, and no item of a higher priority, or that was
// given back, overtakes them. Without [Options.MaxAttempts], an attempt that a crash cuts short
// does not count if its item had been claimed ahead.
//
// A claim whose Receive was cancelled is given back and is no attempt, but may count as one if the
// session ends first or the database is full. Until it has been given back, items behind it may be
// received.
//
// If an operator deletes a claim while the answer to its Ack is lost, the Ack returns nil. If the
// session is lost while the answer is missing, the Ack returns [session.ErrNotHeld] with
// [gateway.ErrUncertain], because it may have been applied.
//
// etcd passes the keys of deleted items until it compacts its history. The reads of a queue leave
// them out, except those of items that were delayed and of dead letters, which the first read of a
// process, Stats and a count for [Options.MaxLength] pass.
//
// etcd is a small store: it keeps all items in memory, in 2 GiB by default. The largest value of an
// item has 1 MiB ([MaxValue]). Each consuming process receives all items through its watch,
// including the items that other processes claim.
//
// # States of an item
//
// Each arrow is one transaction of the process that makes the call. The end of a lease is etcd's. A
// consumer moves the delayed items that are due, and moves an item without attempts to the dead
// letters.
//
//	  │ Enqueue                     │ Enqueue with a Delay
//	  ▼                             ▼
//	ready ◀──── the delay is over ─ delayed
//	│   ▲                           ▲
//	│   │ Nack, Requeue,            │ Nack with a delay,
//	│   │ the lease ends            │ of an item without a group
//	│   │                           │
//	│   └── claimed ────────────────┘
//	│       ▲ │ │
//	└───────┘ │ └── Reject, no attempts are left ──▶ dead ── Redrive ──▶ ready
//	 Receive  │
//	          │ Ack, AckWith
//	          ▼
//	        done
//
// [Queue.Remove] ends an item that is ready, delayed or dead.
//
// An item that is ready is claimed only when it is the turn of its group, when the delay of its
// Nack is over, and when a slot of MaxInFlight is free.
//
// # Concurrency
//
// [Queue] and [Message] are safe for concurrent use. After the function of [Queue.Consume] has
// returned, only Consume may end its message.
//
// Goroutines that share a session share requests: calls made while a transaction is in flight go
// into the next. [Message.AckWith] sends a request of its own.
//
// [Queue.Receive] claims one item for its caller. [Queue.Consume] claims one for each function that
// is free, so a consumer has at most as many items as functions, and [Options.Prefetch] more. Items
// whose acks are under way come on top. One transaction ends messages and claims the next ones.
//
// # Errors
//
// Calls return [gateway.ErrInvalid] for a name, options or arguments that cannot be used, and the
// context's error when ctx ends first, with [gateway.ErrUncertain] if a write was in flight. Calls
// that write or receive return [session.ErrLost] when the session has ended.
//
// Calls return [session.ErrCorrupt] if the tail or a de-duplication key has a value that this
// library does not write. An item with such a value becomes a dead letter. The next consumer
// deletes a claim that has no lease.
//
// # Keys
//
// All keys lie under <name>//. A place is <9 - priority>/<number>.
//
//	<name>//tail               the number of the next item, a bound of the number of items, and
//	                           the pressure of other producers
//	<name>//q/<place>          an item: a line of JSON, then the value
//	<name>//q/<place>/<group>  an item of a group
//	<name>//h/<place>          the time at which an item of a group may be claimed again
//	<name>//m/<slot>           the slot of a claim with MaxInFlight, under the same lease
//	<name>//c/<place>          its claim, under the lease of the consumer's session
//	<name>//t/<place>          its claims: the version of the key is their number
//	<name>//r/<place>          its claims that are no attempts: the version is their number
//	<name>//d/<due>/<id>       a delayed item, by its time in milliseconds
//	<name>//x/<id>             a dead letter
//	<name>//u/<dedup ID>       the ID of the item, under a lease of twice the window
//	<name>//gaps               ranges of places that have no item and will have none
//	<name>//paused             exists while the queue is paused
//
// # Source
//
// Claims under a lease are from kazoo's LockingQueue, and acks with writes from River's
// JobCompleteTx. Items are numbered by a comparison of the tail, so that their order is the order
// of their commits.
package queue
