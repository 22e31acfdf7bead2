package cron_test

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cron"
)

// listed is a schedule with the ticks of a list.
type listed []time.Time

func (l listed) Next(t time.Time) time.Time {
	i := slices.IndexFunc(l, t.Before)
	if i < 0 {
		return time.Time{}
	}
	return l[i]
}

// stuck returns its argument, which is not later.
type stuck struct{}

func (stuck) Next(t time.Time) time.Time { return t }

// noon has a tick at noon in the location of its argument, as schedules of robfig/cron have.
type noon struct{}

func (noon) Next(t time.Time) time.Time {
	next := time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, t.Location())
	if !next.After(t) {
		next = next.AddDate(0, 0, 1)
	}
	return next
}

func TestLastIsTheLatestTick(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 8, 30, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	kiritimati := time.FixedZone("", 14*60*60)
	for _, tt := range []struct {
		name     string
		schedule cron.Schedule
		at       time.Time
		want     time.Time
	}{
		{"at a tick", cron.Every(time.Minute), now, now},
		{"after a tick", cron.Every(time.Minute), now.Add(59 * time.Second), now},
		{"of many", listed{ago(9 * time.Second), ago(3), ago(2), now.Add(1)}, now, ago(2)},
		{"long ago", listed{ago(40 * 365 * 24 * time.Hour)}, now, ago(40 * 365 * 24 * time.Hour)},
		{"none", listed{now.Add(1)}, now, time.Time{}},
		{"no schedule", stuck{}, now, time.Time{}},
		{"nil", nil, now, time.Time{}},
		{"in the location", noon{}, now.In(kiritimati), time.Date(2026, 11, 27, 12, 0, 0, 0, kiritimati)},
	} {
		if got := cron.Last(tt.schedule, tt.at); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
