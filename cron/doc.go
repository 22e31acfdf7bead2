// Package cron runs a function at the times of a schedule, once for all the replicas of a program.
//
// # Usage
//
//	job := cron.New("reports/nightly", schedule, &cron.Options{Spec: "0 2 * * *"})
//	err := job.Run(ctx, client, func(ctx context.Context, tick *cron.Tick) error {
//		report := build(ctx, tick.Scheduled())
//		return tick.Complete(ctx, gateway.OpPut("reports/latest", report))
//	})
//
// Call Run in every replica. The schedule may be one of [robfig/cron], or [Every].
//
// # Guarantees
//
// A tick is its scheduled time. One transaction starts it, which compares that the last tick is
// earlier, and another ends it. So each tick starts once and ends once, also if the clocks of the
// replicas differ by minutes: clocks decide when a tick starts, and never whether. No two ticks of
// a name run at a time, unless a function goes on after its context has ended.
//
// When an attempt ends without success, because its process died, its session was lost, its
// function failed or [Options.Timeout] was over, one other replica makes the next attempt.
// [Options.MaxAttempts] bounds the attempts, and [Tick.Attempt] counts them. The operations of
// [Tick.Complete] are applied with the end of the tick, once, or not at all. Each attempt has a
// fence of its own, which only grows, and a guard that ends with it.
//
// [Options.Missed] selects the ticks that start late. With [MissedAll], none is skipped that is not
// later than [Options.MaxLate]. A tick costs two writes in the whole cluster, and no
// replica sends requests between two ticks except for renewals.
//
// # Limitations
//
// A function may run again when its process dies before the tick has ended, so its writes belong
// into [Tick.Complete], or must be repeatable. Its writes to other systems need the fence, see
// [session.Hold.Fence]. The tick of a process that dies waits for the end of its lease. Each
// replica receives the changes of each tick through its watch.
//
// A schedule cannot be changed while replicas run with the old one: Run returns
// [ErrScheduleMismatch] then. The times are in UTC, so a schedule must have its time zone in
// itself, as "CRON_TZ=Europe/Berlin 0 4 * * *" of robfig/cron has. Such a schedule of robfig/cron
// leaves out a time of day that does not exist when clocks change, and has one twice that exists
// twice. A machine whose clock is set notices that within a minute.
//
// # Concurrency
//
// [Cron] and [Tick] are safe for concurrent use. Each Run has sessions of its own, and runs one
// tick at a time in the goroutine of its caller.
//
// # Errors
//
// Run returns the context's error when ctx ends. Calls return [gateway.ErrInvalid] for a name, a
// schedule or options that cannot be used, [gateway.ErrUncertain] as well as the context's error
// when ctx ends while a write is under way, and [session.ErrCorrupt] when this library did not
// write a record. Check for ErrUncertain first.
//
// # Keys
//
// Replicas are leased keys <name>/<lease hex> with their spec, in a line as in package mutex.
//
//	<name>//state            the last tick, and the attempt that runs, as JSON
//	<name>//running/<lease>  the attempt that runs; leased
//	<name>//history/<n>      the n-th tick, as JSON
//	<name>//pause            the last pause or its end, as JSON
//	<name>//trigger          a tick by hand that has not started, as JSON
//
// # Source
//
// The interface of the schedule is robfig/cron's. Kubernetes' CronJob has the terms of missed and
// suspended schedules. The line is the one of package mutex.
//
// [robfig/cron]: https://pkg.go.dev/github.com/robfig/cron/v3
package cron
