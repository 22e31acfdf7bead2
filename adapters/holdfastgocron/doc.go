// Package holdfastgocron lets several instances of a program that uses gocron share its jobs.
//
// # Usage
//
//	locker := holdfastgocron.NewLocker(s, "billing", holdfastgocron.Interval(5*time.Minute), nil)
//	scheduler, err := gocron.NewScheduler(gocron.WithDistributedLocker(locker))
//
// With a [Locker], each run of a job is made by one of the instances. With an [Elector], one
// instance runs all jobs:
//
//	var elector holdfastgocron.Elector
//	go elector.Run(ctx, client, nil, "billing", hostname)
//	scheduler, err := gocron.NewScheduler(gocron.WithDistributedElector(&elector))
//
// # Guarantees
//
// A lock of a [Locker] is a run of package once whose name is the job and the tick. So an instance
// that is late, because its clock is or because it was busy, does not run a tick again that another
// one has finished: it keeps a record, not only a lock. If the instance that runs a tick dies,
// another one can run that tick that asks for it later.
//
// [Elector.IsLeader] returns nil only while the term may be relied on, which ends before the lease
// can expire, also while etcd cannot be reached.
//
// # Limitations
//
// gocron does not pass a tick to its locker, so that a [Tick] derives it from the clock. gocron
// does not end a job whose lock or leadership is lost, and no instance makes up for a tick that
// was missed. Package cron does both.
//
// # Concurrency
//
// All types are safe for concurrent use. An [Elector] has one Run at a time.
//
// # Errors
//
// [Locker.Lock] returns [ErrDone] when the tick has been run, and the errors of package once, such
// as [once.ErrRunning]. It returns [gateway.ErrInvalid] for a job whose name begins with a slash or
// contains two in a row, because no key may have such a name: gocron never runs it.
// [Elector.IsLeader] returns [ErrNotLeader]. gocron then skips the run.
//
// # Keys
//
// The ones of package once, with the name <prefix>/<job>/<tick>, and of package election.
package holdfastgocron
