package cron_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestKeysDeletedByAnOperator: the key of the place in the line, or of the tick. The context of the
// tick ends, another attempt is made, and a late write of the first one is refused.
func TestKeysDeletedByAnOperator(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"the place", "the tick"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				var ts ticks
				c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
				fn := func(ctx context.Context, tick *cron.Tick) error {
					ts.add(0, tick)
					if len(ts.list()) > 1 {
						return guarded(ctx, tick)
					}
					time.Sleep(2 * time.Second)
					key := tick.Key()
					if which == "the place" {
						key = name + "/" + key[strings.LastIndexByte(key, '/')+1:]
					}
					etcd.Delete(key)
					<-ctx.Done()
					if cause := context.Cause(ctx); !errors.Is(cause, session.ErrKeyDeleted) {
						t.Errorf("cause = %v", cause)
					}
					time.Sleep(10 * time.Second)
					if err := guarded(context.Background(), tick); !errors.Is(err, session.ErrNotHeld) {
						t.Errorf("Complete = %v", err)
					}
					return nil
				}
				run(t.Context(), t, etcd, c, fn)
				synctest.Wait()
				run(t.Context(), t, etcd, c, fn)
				time.Sleep(3*time.Minute + 30*time.Second)
				wantGuarded(t, etcd, c, 3)
				if all := ts.list(); len(all) != 4 || all[1].Attempt != 2 {
					t.Errorf("%+v", all)
				}
				for i, s := range ts.list()[1:] {
					if s.Fence <= ts.list()[i].Fence {
						t.Errorf("%+v", ts.list())
					}
				}
			})
		})
	}
}

// TestTheStateDeletedByAnOperator begins anew: no tick before that is missed.
func TestTheStateDeletedByAnOperator(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), &cron.Options{Missed: cron.MissedAll})
		run(t.Context(), t, etcd, c, guarded)
		time.Sleep(2*time.Minute + time.Second)
		for _, key := range etcd.Keys(name + "//") {
			etcd.Delete(key)
		}
		time.Sleep(2 * time.Minute)
		if keys := etcd.Keys("own/"); len(keys) != 4 {
			t.Errorf("guarded writes %q", keys)
		}
	})
}

func TestCorruptRecordsStartNothing(t *testing.T) {
	t.Parallel()
	for key, values := range map[string][]string{
		name + "//state": {
			"", "x", "{}", "null", "[]", `{"count":-1,"last":"2000-01-01T00:00:00Z"}`,
			`{"count":1,"last":"2000-01-01T00:00:00Z","running":{"attempt":-1}}`,
			`{"count":0,"last":"2000-01-01T00:00:00Z","running":{"attempt":1}}`,
		},
		name + "//pause":   {"", "x", "null", "[]"},
		name + "//trigger": {"", "x", "null", "[]"},
	} {
		for _, value := range values {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				c := cron.New(name, cron.Every(time.Minute), nil)
				etcd.Put(key, value)
				err := c.Run(bubble.Within(t, 10*time.Minute), etcd.Client(t), mustNotRun(t))
				if !errors.Is(err, session.ErrCorrupt) || !strings.Contains(err.Error(), key) {
					t.Errorf("%s = %q: %v", key, value, err)
				}
				_, err = c.History(t.Context(), etcd.Client(t))
				if state := key == name+"//state"; state != errors.Is(err, session.ErrCorrupt) {
					t.Errorf("%s = %q: %v", key, value, err)
				}
				if kv, _ := etcd.Get(key); string(kv.Value) != value {
					t.Errorf("%s was %q and is %q", key, value, kv.Value)
				}
			})
		}
	}
}

// TestResumeReplacesACorruptPause so that the schedule can be repaired with it.
func TestResumeReplacesACorruptPause(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := cron.New(name, cron.Every(time.Minute), nil)
		etcd.Put(name+"//pause", "x")
		if err := c.Resume(t.Context(), etcd.Client(t)); err != nil {
			t.Errorf("Resume = %v", err)
		}
		run(t.Context(), t, etcd, c, guarded)
		time.Sleep(2*time.Minute + time.Second)
		wantGuarded(t, etcd, c, 2)
		if keys := etcd.Keys(name + "//running"); !slices.Equal(keys, nil) {
			t.Errorf("keys %q", keys)
		}
	})
}

// TestARecordWithAnErrorBeforeTheFirstAttempt: a record that an operator has edited so does not end
// the program of each replica.
func TestARecordWithAnErrorBeforeTheFirstAttempt(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Put(name+"//state", `{"count":1,"last":"1999-12-31T00:00:00Z","running":`+
			`{"scheduled":"1999-12-31T00:00:00Z","attempt":0,"error":"edited"}}`)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		attempts := 0
		c := cron.New(name, cron.Every(time.Hour), nil)
		_ = c.Run(ctx, etcd.Client(t), func(context.Context, *cron.Tick) error {
			attempts++
			return nil
		})
		if attempts == 0 {
			t.Error("no attempt")
		}
	})
}
