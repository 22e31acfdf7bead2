package cron_test

import (
	"context"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAScheduleOfRobfigCron: its parser makes the schedule.
func TestAScheduleOfRobfigCron(t *testing.T) {
	t.Parallel()
	const spec = "* * * * * *"
	parser := robfig.NewParser(robfig.Second | robfig.Minute | robfig.Hour | robfig.Dom |
		robfig.Month | robfig.Dow)
	schedule, err := parser.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	var ts ticks
	name := fresh(t)
	opts := *all
	opts.Spec = spec
	for range 2 {
		run(t, gateway.Config{}, name, cron.New(name, schedule, &opts), ts.notes)
	}
	eventually(t, "ticks", func() bool { return len(ts.list()) >= 3 })
	wantEach(t, ts.list(), time.Second)
}

// TestRobfigSchedulesOverBothChangesOfTheClock runs a replica through the night of each change, in
// the time of a test: its ticks are the ones that robfig/cron returns, each once.
func TestRobfigSchedulesOverBothChangesOfTheClock(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct {
		spec  string
		begin time.Time
		want  []string // in UTC
	}{
		// At 02:00 the clock goes to 03:00.
		{
			"*/15 * * * *", time.Date(2026, 3, 29, 1, 40, 0, 0, berlin),
			[]string{"00:45", "01:00", "01:15", "01:30"},
		},
		{"30 2 * * *", time.Date(2026, 3, 29, 1, 40, 0, 0, berlin), nil},
		{"30 3 * * *", time.Date(2026, 3, 29, 1, 40, 0, 0, berlin), []string{"01:30"}},
		// At 03:00 the clock goes back to 02:00, which is 01:00 in UTC.
		{
			"*/15 * * * *", time.Date(2026, 10, 25, 0, 40, 0, 0, time.UTC),
			[]string{"00:45", "01:00", "01:15", "01:30"},
		},
		{"30 3 * * *", time.Date(2026, 10, 25, 1, 40, 0, 0, time.UTC), []string{"02:30"}},
	} {
		spec := "CRON_TZ=Europe/Berlin " + tt.spec
		schedule, err := robfig.ParseStandard(spec)
		if err != nil {
			t.Fatal(err)
		}
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			ctx, cancel := context.WithTimeout(t.Context(), 55*time.Minute)
			defer cancel()
			ctx = clock.Shift(ctx, time.Until(tt.begin))
			var got []string
			_ = cron.New("job", schedule, &cron.Options{Spec: spec, Missed: cron.MissedAll}).Run(
				ctx, etcd.Client(t), func(_ context.Context, tick *cron.Tick) error {
					got = append(got, tick.Scheduled().Format("15:04"))
					return nil
				})
			if len(got) != len(tt.want) {
				t.Fatalf("%s from %v: %q, want %q", tt.spec, tt.begin, got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("%s from %v: %q, want %q", tt.spec, tt.begin, got, tt.want)
				}
			}
		})
	}
}
