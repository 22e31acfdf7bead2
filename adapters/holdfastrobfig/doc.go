// Package holdfastrobfig lets the replicas of a program that uses robfig/cron share its jobs.
//
// # Usage
//
//	const spec = "0 2 * * *"
//	schedule, err := cron.ParseStandard(spec)
//	…
//	c := cron.New()
//	c.Schedule(schedule, holdfastrobfig.OncePerTick(s, "backup", schedule, nil)(job))
//
// For a program that needs its context in a job, attempts at a job that fails, or ticks that were
// missed, package cron of this library takes the same schedules.
//
// # Guarantees
//
// Each tick is a run of package once whose name is the tick. So one replica runs it, also if the
// clocks of the replicas differ, and if the job has ended before the clock of another replica
// reaches the tick.
//
// # Limitations
//
// A [cron.Job] has no context, so that a job goes on after its run was lost, and another replica
// may run the tick then. If the job panics, the tick is not done.
//
// # Concurrency
//
// A wrapper and its jobs are safe for concurrent use.
//
// # Errors
//
// The errors of package once are logged by [Options.Logger], also when the run was lost. A tick of
// another replica is logged as information.
//
// # Keys
//
// The ones of package once, with the name <name>/<tick>.
package holdfastrobfig
