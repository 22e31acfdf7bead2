// Package holdfastotel turns the hooks of a client and its sessions into OpenTelemetry spans and
// metrics.
//
// # Usage
//
//	clientHooks, err := holdfastotel.Client(nil)
//	…
//	client, err := gateway.New(gateway.Config{Endpoints: endpoints, Hooks: clientHooks})
//	…
//	sessionHooks, err := holdfastotel.Session(nil)
//	…
//	s, err := session.New(ctx, client, &session.Options{Hooks: sessionHooks})
//
// One set of hooks serves any number of clients or sessions. [Queue] makes the hooks of a queue.
//
// # Metrics
//
//	holdfast.client.operation.duration  histogram, s   attempts of requests: holdfast.operation,
//	                                                   server.address, error.type
//	holdfast.client.streams             up-down        endpoints that serve the watches of a client
//	holdfast.session.renewal.duration   histogram, s   acknowledged renewals of leases
//	holdfast.session.suspect            counter        sessions whose renewal became late
//	holdfast.session.lost               counter        sessions that ended without Close: error.type
//	holdfast.hold.wait.duration         histogram, s   waits for a hold that was granted
//	holdfast.hold.active                up-down        holds
//	holdfast.hold.duration              histogram, s   holds that ended
//	holdfast.hold.lost                  counter        holds that were lost: error.type
//
//	messaging.client.sent.messages      counter        items that were enqueued
//	messaging.client.consumed.messages  counter        messages that were delivered
//	messaging.process.duration          histogram, s   messages that were ended: holdfast.outcome
//	holdfast.queue.wait.duration        histogram, s   from the enqueue to the delivery
//
// The metrics of holds have the attribute holdfast.recipe ("mutex", "election", …), and with
// [Options.Names] also holdfast.name. The semantic conventions have none for locks and elections.
// The metrics of queues have messaging.system, messaging.destination.name and
// messaging.operation.name.
//
// # Spans
//
// Each attempt of a request is a span "etcd <operation>" below the span of the caller, and each
// wait for a hold that was granted is a span "holdfast acquire <recipe>". No span has a key or a
// value.
//
// # Limitations
//
// A wait that ends without a hold is not reported, and neither is the end of a message that was
// lost.
//
// # Concurrency
//
// The hooks are safe for concurrent use.
//
// # Errors
//
// [Client], [Session] and [Queue] return the error of a meter that refuses an instrument.
package holdfastotel
