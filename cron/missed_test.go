package cron_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestTicksMissedWhileOneRuns: the tick of minute 0 takes 3 minutes and a half.
func TestTicksMissedWhileOneRuns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opt  cron.Options
		want []float64
	}{
		{cron.Options{}, []float64{0, 3, 4, 5}},
		{cron.Options{MaxLate: 20 * time.Second}, []float64{0, 4, 5}},
		{cron.Options{Missed: cron.MissedSkip}, []float64{0, 3, 4, 5}},
		{cron.Options{Missed: cron.MissedSkip, MaxLate: 20 * time.Second}, []float64{0, 4, 5}},
		{cron.Options{Missed: cron.MissedAll}, []float64{0, 1, 2, 3, 4, 5}},
		{cron.Options{Missed: cron.MissedAll, MaxLate: 2 * time.Minute}, []float64{0, 2, 3, 4, 5}},
	} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			var ts ticks
			run(t.Context(), t, etcd, cron.New(name, cron.Every(time.Minute), &tt.opt),
				func(ctx context.Context, tick *cron.Tick) error {
					ts.add(0, tick)
					if len(ts.list()) == 1 {
						time.Sleep(3*time.Minute + 30*time.Second)
					}
					return nil
				})
			time.Sleep(6*time.Minute + time.Second)
			ts.wantMinutes(t, tt.want...)
		})
	}
}

// TestTicksMissedWithoutReplicas: none runs for 5 minutes and a half after the tick of minute 1.
func TestTicksMissedWithoutReplicas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		missed cron.Missed
		want   []float64
	}{
		{cron.MissedLatest, []float64{0, 1, 6, 7, 8}},
		{cron.MissedSkip, []float64{0, 1, 6, 7, 8}},
		{cron.MissedAll, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8}},
	} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			var ts ticks
			c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: tt.missed})
			first := run(t.Context(), t, etcd, c, ts.notes(0))
			time.Sleep(2*time.Minute + time.Second)
			first.stop()
			time.Sleep(5*time.Minute + 30*time.Second)
			run(t.Context(), t, etcd, c, ts.notes(1))
			time.Sleep(2 * time.Minute)
			ts.wantMinutes(t, tt.want...)
		})
	}
}

// TestTheFirstReplicaDefinesTheFirstTick: no tick before that is missed, and a tick after that is,
// also if the first replica ends before it.
func TestTheFirstReplicaDefinesTheFirstTick(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
		time.Sleep(30 * time.Second)
		first := run(t.Context(), t, etcd, c, ts.notes(0))
		synctest.Wait()
		first.stop()
		time.Sleep(2 * time.Minute)
		run(t.Context(), t, etcd, c, ts.notes(1))
		synctest.Wait()
		ts.wantEach(t, time.Minute, 2)
	})
}

// TestTheLatestOfManyTicksIsFoundAtOnce: a tick each millisecond for a hundred years.
func TestTheLatestOfManyTicksIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	last := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	now := time.Date(2100, 1, 1, 0, 0, 0, 1_499_999, time.UTC)
	for _, d := range []time.Duration{time.Millisecond, 7 * time.Hour, time.Nanosecond} {
		c := cron.New(name, cron.Every(d), nil)
		tick, due, err := c.Due(last, now)
		next, late, _ := c.Due(tick, now)
		if err != nil || !due || tick.After(now) || now.Sub(tick) >= d || late || !next.After(now) {
			t.Errorf("every %v: %v, %v, %v; then %v, %v", d, tick, due, err, next, late)
		}
	}
	// On one day of four years there is a tick each second.
	c := cron.New(name, leapDays{}, &cron.Options{Spec: "leap days"})
	tick, due, err := c.Due(last, now)
	want := time.Date(2096, 2, 29, 23, 59, 59, 0, time.UTC)
	if err != nil || !due || !tick.Equal(want) {
		t.Errorf("%v, %v, %v; want %v", tick, due, err, want)
	}
}

type leapDays struct{}

func (leapDays) Next(t time.Time) time.Time {
	t = t.Truncate(time.Second).Add(time.Second)
	if t.Month() == time.February && t.Day() == 29 {
		return t
	}
	for year := t.Year(); ; year++ {
		day := time.Date(year, 2, 29, 0, 0, 0, 0, time.UTC)
		if day.Day() == 29 && !day.Before(t) {
			return day
		}
	}
}

func TestEveryIsAlignedToTheEpoch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, want int64 }{
		{0, 7}, {1, 7}, {6, 7}, {7, 14}, {-1, 0}, {-7, 0}, {-8, -7}, {1_000_000_000, 1_000_000_001},
	} {
		got := cron.Every(7 * time.Second).Next(time.Unix(tt.from, 0)).Unix()
		if got != tt.want {
			t.Errorf("after %d: %d, want %d", tt.from, got, tt.want)
		}
	}
}

func TestJitterDelaysAllTicksOfANameAlike(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var ts ticks
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Jitter: 10 * time.Minute})
		jitter := c.JitterOf()
		other := cron.New("another", cron.Every(time.Minute), &cron.Options{Jitter: 10 * time.Minute})
		if other.JitterOf() == jitter || jitter <= time.Minute {
			t.Errorf("jitter %v, of another name %v", jitter, other.JitterOf())
		}
		first := run(t.Context(), t, etcd, c, ts.notes(0))
		run(t.Context(), t, etcd, c, ts.notes(1))
		time.Sleep(jitter + 2*time.Minute + time.Second)
		first.stop()
		time.Sleep(2 * time.Minute)
		ts.wantEach(t, time.Minute, len(ts.list()))
		for _, s := range ts.list() {
			if late := s.At.Sub(s.Scheduled) - jitter; late < 0 || late > 10*time.Millisecond {
				t.Errorf("started %v after its time", s.At.Sub(s.Scheduled))
			}
		}
	})
}

// daily is a schedule at half past two in a time zone.
type daily struct{ *time.Location }

func (d daily) Next(t time.Time) time.Time {
	y, m, day := t.In(d.Location).Date()
	for ; ; day++ {
		if next := time.Date(y, m, day, 2, 30, 0, 0, d.Location); next.After(t) {
			return next
		}
	}
}

// TestDailyTicksOverBothChangesOfTheClock: at half past two, which does not exist on one day of the
// year and exists twice on another, there is one tick each day.
func TestDailyTicksOverBothChangesOfTheClock(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, missed := range []cron.Missed{cron.MissedAll, cron.MissedLatest} {
		c := cron.New(name, daily{berlin}, &cron.Options{Spec: "02:30 Berlin", Missed: missed})
		last := time.Date(2026, 1, 1, 12, 0, 0, 0, berlin)
		for day := 2; day <= 365; day++ {
			now := time.Date(2026, 1, day, 12, 0, 0, 0, berlin)
			tick, due, err := c.Due(last, now)
			if y, m, d := tick.In(berlin).Date(); err != nil || !due ||
				time.Date(y, m, d, 0, 0, 0, 0, berlin) != time.Date(2026, 1, day, 0, 0, 0, 0, berlin) {
				t.Fatalf("day %d: %v, %v, %v", day, tick.In(berlin), due, err)
			}
			if _, again, _ := c.Due(tick, now); again {
				t.Fatalf("day %d: two ticks", day)
			}
			last = tick
		}
	}
}

// TestReplicasOverBothChangesOfTheClock runs replicas through the night of each change, one of them
// with a clock that is late.
func TestReplicasOverBothChangesOfTheClock(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	spring := daily{berlin}.Next(time.Date(2026, 3, 28, 12, 0, 0, 0, berlin))
	autumn := daily{berlin}.Next(time.Date(2026, 10, 24, 12, 0, 0, 0, berlin))
	for _, tt := range []struct {
		around time.Time
		ticks  int
	}{
		{spring, 1},
		{spring.Add(-time.Hour), 0},
		{spring.Add(time.Hour), 0},
		{autumn, 1},
		{autumn.Add(-time.Hour), 0},
		{autumn.Add(time.Hour), 0},
	} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			var ts ticks
			c := cron.New(name, daily{berlin}, &cron.Options{Spec: "daily"})
			offset := time.Until(tt.around.Add(-3 * time.Minute))
			first := run(clock.Shift(t.Context(), offset), t, etcd, c, ts.notes(0))
			synctest.Wait()
			run(clock.Shift(t.Context(), offset-time.Minute), t, etcd, c, ts.notes(1))
			time.Sleep(3*time.Minute + time.Second)
			first.stop() // the clock of the other shows the time before the tick
			time.Sleep(3 * time.Minute)
			all := ts.list()
			if len(all) != tt.ticks || tt.ticks > 0 && !all[0].Scheduled.Equal(tt.around) {
				t.Errorf("around %v: %+v", tt.around.In(berlin), all)
			}
		})
	}
}
