package holdfastrobfig

import (
	"context"
	"errors"
	"time"

	"github.com/robfig/cron/v3"

	holdfast "github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// DefaultRetention is the default of [Options.Retention].
const DefaultRetention = time.Hour

// Options configure a wrapper. nil means the zero value.
type Options struct {
	// Retention is the time for which it is known that a tick is done. It should be longer than
	// the difference of the clocks of the replicas. Default 1 h.
	Retention time.Duration
	// Location is the one of the [cron.Cron], see [cron.WithLocation]. Default [time.Local].
	Location *time.Location
	// Logger logs errors, and the ticks of other replicas. Default [cron.DefaultLogger].
	Logger cron.Logger
}

// OncePerTick returns a wrapper of jobs with this schedule: each tick is run by one replica. The
// replicas share the name of the job.
func OncePerTick(
	s *session.Session, name string, schedule cron.Schedule, opts *Options,
) cron.JobWrapper {
	w := &wrapper{s: s, name: name, schedule: schedule}
	if opts != nil {
		w.Options = *opts
	}
	if w.Retention == 0 {
		w.Retention = DefaultRetention
	}
	if w.Location == nil {
		w.Location = time.Local
	}
	if w.Logger == nil {
		w.Logger = cron.DefaultLogger
	}
	return func(job cron.Job) cron.Job { return cron.FuncJob(func() { w.run(job) }) }
}

type wrapper struct {
	Options
	s        *session.Session
	name     string
	schedule cron.Schedule
}

// run runs a job for the latest tick by the clock of this process.
func (w *wrapper) run(job cron.Job) {
	tick := holdfast.Last(w.schedule, time.Now().In(w.Location))
	if tick.IsZero() {
		w.Logger.Error(errors.New("the schedule has no tick"), "skip", "job", w.name)
		return
	}
	o := once.New(w.s, w.name+"/"+tick.UTC().Format(time.RFC3339Nano),
		&once.Options{Retention: w.Retention})
	res, err := o.TryDo(w.s.Context(), func(context.Context, *once.Run) ([]byte, error) {
		job.Run()
		return nil, nil
	})
	switch {
	case errors.Is(err, once.ErrRunning) || err == nil && !res.Ran:
		w.Logger.Info("skip", "job", w.name, "tick", tick, "reason", "another replica")
	case err != nil:
		w.Logger.Error(err, "once per tick", "job", w.name, "tick", tick)
	}
}
