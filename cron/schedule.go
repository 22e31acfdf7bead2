package cron

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Schedule has the times of ticks. The schedules of github.com/robfig/cron/v3 implement it.
type Schedule interface {
	// Next returns the first tick that is later than t, or the zero time if there is none. t is in
	// UTC. Of two calls, also in two replicas, the one with the earlier t must not return a later
	// tick.
	Next(t time.Time) time.Time
}

// Every returns a schedule with a tick at each multiple of d since 1970, in all replicas at the
// same times. Its spec is "@every" and d. If d is not positive, [Cron.Run] returns
// [gateway.ErrInvalid].
func Every(d time.Duration) Schedule { return every(d) }

type every time.Duration

func (e every) String() string { return "@every " + time.Duration(e).String() }

func (e every) Next(t time.Time) time.Time {
	if e <= 0 {
		return t // which is not later, so that Run rejects it
	}
	since := t.UnixNano()
	past := since % int64(e)
	if past < 0 {
		past += int64(e)
	}
	return time.Unix(0, since-past+int64(e)).UTC()
}

// next calls the schedule. It returns the zero time if no tick is left.
func (c *Cron) next(t time.Time) (time.Time, error) {
	n := c.schedule.Next(t)
	switch {
	case n.IsZero():
		return n, nil
	case !n.After(t):
		return n, fmt.Errorf("%w: the schedule %q has a tick at %v after %v",
			gateway.ErrInvalid, c.spec, n, t)
	}
	return n.UTC().Round(0), nil
}

// due returns the tick to start at now, if the last one was at last. If none is due, it returns the
// next one. The result is the zero time if no tick is left.
func (c *Cron) due(last, now time.Time) (tick time.Time, due bool, _ error) {
	from := last
	if late := c.opt.MaxLate; late > 0 && now.Add(-late).After(from) {
		from = now.Add(-late)
	}
	tick, err := c.next(from)
	if err != nil || tick.IsZero() || tick.After(now) {
		return tick, false, err
	}
	if c.opt.Missed != MissedAll {
		tick, err = c.latest(tick, now)
	}
	return tick, true, err
}

// latest returns the latest tick until now. tick is one of them. It bisects the time until now,
// because a schedule may have had a million ticks since the last that has run.
func (c *Cron) latest(tick, now time.Time) (time.Time, error) {
	none := now // no tick lies between none and now
	for {
		following, err := c.next(tick)
		if err != nil || following.IsZero() || following.After(now) {
			return tick, err
		}
		tick = following
		middle := tick.Add(none.Sub(tick) / 2)
		following, err = c.next(middle)
		switch {
		case err != nil:
			return tick, err
		case following.IsZero() || following.After(now):
			none = middle
		default:
			tick = following
		}
	}
}

// longest is the longest time between two ticks that [Last] finds.
const longest = 100 * 366 * 24 * time.Hour

// Last returns the latest tick of a schedule that is not later than t, or the zero time if there is
// none, or if the schedule cannot be used. It calls the schedule with times in the location of t,
// for schedulers other than [Cron]: each of their instances can name a tick that it starts by its
// own clock.
func Last(schedule Schedule, t time.Time) time.Time {
	if schedule == nil {
		return time.Time{}
	}
	c := &Cron{schedule: located{schedule, t.Location()}}
	for d := time.Minute; d <= longest; d *= 2 {
		first, err := c.next(t.Add(-d))
		if err != nil {
			return time.Time{}
		}
		if first.IsZero() || first.After(t) {
			continue
		}
		if last, err := c.latest(first, t); err == nil {
			return last
		}
	}
	return time.Time{}
}

// located is a schedule that depends on the location of a time.
type located struct {
	Schedule
	in *time.Location
}

func (l located) Next(t time.Time) time.Time { return l.Schedule.Next(t.In(l.in)) }

// jitter returns the delay of all ticks of the name. It is the same in all replicas, so that a
// replica that takes a tick over does not wait again.
func (c *Cron) jitter() time.Duration {
	if c.opt.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.name))
	return time.Duration(h.Sum64() % uint64(c.opt.Jitter)) //nolint:gosec // both are small enough
}
