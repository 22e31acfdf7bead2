package once_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// A crontab on each of three hosts starts a job of one second every 5 minutes. The clocks are 90 s
// apart, so that a host starts it when the one before has long ended.
const (
	ticks   = 6
	apart   = 90 * time.Second
	backup  = time.Second
	crontab = "*/5 * * * *"
)

// crontabs calls job on each of the hosts at the times of the crontab, by the clock of the host.
func crontabs(t *testing.T, etcd *fakeetcd.Server, job func(*session.Session, string)) {
	t.Helper()
	schedule, err := robfig.ParseStandard(crontab)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now().UTC().Add(2 * apart) // on the clock of each host
	var hosts sync.WaitGroup
	for i := range 3 {
		s := bubble.Session(t, etcd)
		ctx := clock.Shift(t.Context(), time.Duration(i-1)*apart)
		hosts.Go(func() {
			tick := begin
			for range ticks {
				tick = schedule.Next(tick)
				time.Sleep(tick.Sub(clock.Wall(ctx))) //nolint:forbidigo // in a bubble
				job(s, "backup/"+clock.Wall(ctx).Format("15:04"))
			}
		})
	}
	hosts.Wait()
}

// TestCrontabsWhoseClocksDiffer: the host that is first runs the job of a tick, and the others
// find its result.
func TestCrontabsWhoseClocksDiffer(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var mu sync.Mutex
		runs, results := map[string]int{}, 0
		crontabs(t, etcd, func(s *session.Session, name string) {
			o := once.New(s, name, &once.Options{Retention: time.Hour})
			res, err := o.TryDo(t.Context(), func(context.Context, *once.Run) ([]byte, error) {
				time.Sleep(backup) //nolint:forbidigo // in a bubble
				mu.Lock()
				defer mu.Unlock()
				runs[name]++
				return []byte(name), nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil || string(res.Value) != name {
				t.Errorf("%s: %q, %v", name, res.Value, err)
			}
			results++
		})
		for name, n := range runs {
			if n != 1 {
				t.Errorf("%s has run %d times", name, n)
			}
		}
		if len(runs) != ticks || results != 3*ticks {
			t.Errorf("%d runs, %d results", len(runs), results)
		}
	})
}

// TestCrontabsWithALockRunTheJobOnEachHost is the control: the lock is free again when the next
// host asks for it.
func TestCrontabsWithALockRunTheJobOnEachHost(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var mu sync.Mutex
		runs := map[string]int{}
		crontabs(t, etcd, func(s *session.Session, name string) {
			lock, err := mutex.New(s, name, nil).TryLock(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(backup) //nolint:forbidigo // in a bubble
			mu.Lock()
			runs[name]++
			mu.Unlock()
			if err := lock.Unlock(t.Context()); err != nil && !errors.Is(err, session.ErrNotHeld) {
				t.Error(err)
			}
		})
		if len(runs) != ticks {
			t.Errorf("%d ticks", len(runs))
		}
		for name, n := range runs {
			if n != 3 {
				t.Errorf("%s has run %d times, so the test could not find a second run", name, n)
			}
		}
	})
}
