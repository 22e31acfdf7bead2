package holdfastgocron

import (
	"time"

	"github.com/holdfast-go/holdfast/cron"
)

// Tick returns the time that identifies a run of a job, which starts at now. All instances must
// have the same one.
type Tick func(job string, now time.Time) time.Time

// Interval returns a Tick for jobs that each instance runs once in d, at any moment: the multiple
// of d that is nearest to the clock. For jobs that all instances run at the same times, these
// should be multiples of d in UTC, because then the clocks may differ by nearly half of d. If d is
// not positive, the jobs have no tick.
func Interval(d time.Duration) Tick {
	return func(_ string, now time.Time) time.Time {
		if d <= 0 {
			return time.Time{} // Round would return now, and each instance would have its own tick
		}
		return now.Round(d)
	}
}

// Crontab returns a Tick for jobs that all instances run at the times of a schedule: its latest
// tick by the clock of the instance, in the location of the clock. So the clocks may differ. The
// schedules of github.com/robfig/cron/v3 can be used.
func Crontab(schedule cron.Schedule) Tick {
	return func(_ string, now time.Time) time.Time { return cron.Last(schedule, now) }
}
