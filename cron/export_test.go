package cron

import "time"

// Due is due, for tests of schedules over more time than an etcd of a test lasts.
func (c *Cron) Due(last, now time.Time) (tick time.Time, due bool, err error) {
	return c.due(last, now)
}

// JitterOf is jitter.
func (c *Cron) JitterOf() time.Duration { return c.jitter() }
