// Package once runs a function once for all the callers of a name, in any number of processes, and
// gives every caller its result.
//
// # Usage
//
//	o := once.New(s, "invoices/2026-11", &once.Options{Retention: 24 * time.Hour})
//	result, err := o.Do(ctx, func(ctx context.Context, run *once.Run) ([]byte, error) {
//		return makeInvoices(ctx, run.Attempt())
//	})
//
// [Run.Complete] commits writes of the function in the same transaction as the result.
//
// # Guarantees
//
// Of all callers of a name, one runs the function at a time. When the function returns a result,
// the result is committed once, under the hold of the run. Callers that wait receive it then, and
// later callers receive it without running the function until [Options.Retention] is over. The
// operations of [Run.Complete] are applied with the result or not at all.
//
// When a run ends without a result, because its process died, its session was lost or its function
// failed, one other caller runs the function. [Run.Attempt] counts the runs. With
// [Options.MaxAttempts], the failure of the last run becomes the result.
//
// # Limitations
//
// A function may run longer than its hold: it must stop when its context ends. Its writes to other
// systems need the fence, see [session.Hold.Fence]. A function must not call Do of its own name,
// because that call waits for the run. A result has at most 1 MiB ([MaxResult]). Each process that
// waits receives the result through its watch.
//
// A retention is a lease of etcd, so a result may be kept for longer while the cluster has no
// leader.
//
// # Concurrency
//
// [Once] and [Run] are safe for concurrent use. Calls of one Once share one place in the line of
// the name, and the first of them runs its function. So goroutines should share a Once.
//
// # Errors
//
// Calls return the context's error when ctx ends first, and [gateway.ErrUncertain] as well when a
// write was under way. Check for ErrUncertain first. They return [gateway.ErrInvalid] for a name or
// options that cannot be used, [session.ErrLost] when the session ends or another client deletes
// the caller's key, and [session.ErrCorrupt] when this library did not write the result.
//
// # Keys
//
// Callers that run or wait are leased keys <name>/<lease hex>, in a line as in package mutex.
//
//	<name>//result    the result: a line of JSON, then the value; leased if it has a retention
//	<name>//attempts  the runs since the last result: the version of the key is their number
//	<name>//failure   the error of the last run that failed, as JSON
//
// # Source
//
// The field calls it singleflight, or an idempotency key. The line is the one of package mutex, and
// the result is committed as [queue.Message.AckWith] commits an ack.
//
// [queue.Message.AckWith]: https://pkg.go.dev/github.com/holdfast-go/holdfast/queue#Message.AckWith
package once
