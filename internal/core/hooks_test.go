package core_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// diary records the calls of hooks.
type diary struct {
	mu    sync.Mutex
	lines []string
	log   bytes.Buffer
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(b)
}

// options returns options with all hooks, and a logger at Info.
func (d *diary) options() *session.Options {
	return &session.Options{
		Logger: slog.New(slog.NewTextHandler(d, nil)),
		Hooks: session.Hooks{
			Renewed:   func(took time.Duration) { d.note("renewed %v", took) },
			Suspect:   func() { d.note("suspect") },
			Recovered: func() { d.note("trusted") },
			Lost:      func(error) { d.note("lost") },
			Acquired: func(_ context.Context, h session.HoldInfo, waited time.Duration) {
				ok := h.Fence > 0 && strings.HasPrefix(h.Key, h.Name+"/")
				d.note("acquired %s %s %v after %v", h.Kind, h.Name, ok, waited)
			},
			HoldEnded: func(h session.HoldInfo, held time.Duration, cause error) {
				revoked := errors.Is(cause, session.ErrRevoked)
				d.note("ended %s %s after %v, revoked: %v", h.Kind, h.Name, held, revoked)
			},
		},
	}
}

// TestHoldHooks follows a hold that is released and a hold that is lost.
func TestHoldHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		d := new(diary)
		s := open(t, etcd, d.options())
		other := open(t, etcd, nil)
		before, err := mutex.New(other, "a", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*time.Second, func() {
			if err := before.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
		first, err := mutex.New(s, "a", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := first.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, err := mutex.New(s, "b", nil).TryLock(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // shorter than the age from which the key is watched
		etcd.Revoke(s.Lease())
		synctest.Wait()
		want := []string{
			"acquired mutex a true after 2s", "ended mutex a after 1s, revoked: false",
			"acquired mutex b true after 0s", "lost", "ended mutex b after 500ms, revoked: true",
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		slices.Sort(want)
		if slices.Sort(d.lines); !slices.Equal(d.lines, want) {
			t.Errorf("hooks tell %q, want %q", d.lines, want)
		}
		var said []string
		record := regexp.MustCompile(`level=(\w+) msg=(\w+)`)
		for _, m := range record.FindAllStringSubmatch(d.log.String(), -1) {
			said = append(said, m[1]+" "+m[2])
		}
		slices.Sort(said)
		if want := []string{
			"INFO hold_acquired", "INFO hold_acquired", "INFO hold_released", "INFO session_opened",
			"WARN hold_lost", "WARN session_lost",
		}; !slices.Equal(said, want) {
			t.Errorf("the log says %q, want %q", said, want)
		}
	})
}

// TestRenewalHooks follows a session through an outage that it survives.
func TestRenewalHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		d := new(diary)
		s := open(t, etcd, d.options())
		time.Sleep(5 * time.Second) // a third of the time to live
		synctest.Wait()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		time.Sleep(8 * time.Second)
		etcd.Script(nil)
		time.Sleep(3 * time.Second)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		want := []string{"renewed 0s", "suspect", "renewed 0s", "trusted"}
		if !slices.Equal(d.lines, want) {
			t.Errorf("hooks tell %q, want %q", d.lines, want)
		}
		for _, word := range []string{
			"session_opened", "session_suspect", "session_trusted", "session_closed",
		} {
			if strings.Count(d.log.String(), "msg="+word) != 1 {
				t.Errorf("no %s in the log:\n%s", word, d.log.String())
			}
		}
	})
}

// slowLog takes a minute to log one kind of record.
type slowLog struct {
	slog.Handler
	what string
}

func (slowLog) Enabled(context.Context, slog.Level) bool { return true }

func (h slowLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.what {
		time.Sleep(time.Minute)
	}
	return nil
}

// TestHooksInOrder: the last call of Suspect or Recovered is the state of the session, however long
// a logger takes.
func TestHooksInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		d := new(diary)
		opts := d.options()
		opts.Hooks.Renewed = nil
		opts.Logger = slog.New(slowLog{slog.DiscardHandler, "session_suspect"})
		suspect := opts.Hooks.Suspect
		opts.Hooks.Suspect = func() {
			time.Sleep(3 * time.Second) // it is trusted again before that
			suspect()
		}
		s := open(t, etcd, opts)
		time.Sleep(5 * time.Second) // a third of the time to live
		synctest.Wait()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() })
		time.Sleep(8 * time.Second)
		etcd.Script(nil)
		time.Sleep(2 * time.Minute)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if want := []string{"suspect", "trusted"}; !slices.Equal(d.lines, want) {
			t.Errorf("hooks tell %q, want %q", d.lines, want)
		}
	})
}

// TestHookBeforeTheLog: a logger that blocks does not keep the hooks from reporting a loss.
func TestHookBeforeTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		d := new(diary)
		opts := d.options()
		opts.Logger = slog.New(slowLog{slog.DiscardHandler, "session_lost"})
		s := open(t, etcd, opts)
		time.Sleep(time.Second)
		etcd.Revoke(s.Lease())
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		if want := []string{"lost"}; !slices.Equal(d.lines, want) {
			t.Errorf("hooks tell %q, want %q", d.lines, want)
		}
	})
}

// TestEndedForEveryAcquired: HoldEnded is also called for a hold that was lost during its Acquired.
func TestEndedForEveryAcquired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		d := new(diary)
		opts := d.options()
		opts.Hooks.Renewed, opts.Hooks.Lost = nil, nil
		acquired := opts.Hooks.Acquired
		var s *session.Session
		opts.Hooks.Acquired = func(ctx context.Context, h session.HoldInfo, waited time.Duration) {
			acquired(ctx, h, waited)
			etcd.Revoke(s.Lease())
			<-s.Context().Done() // as if that had happened by itself
		}
		s = open(t, etcd, opts)
		l, err := mutex.New(s, "a", nil).Lock(t.Context())
		if err == nil {
			err = l.Err()
		}
		if !errors.Is(err, session.ErrRevoked) {
			t.Error(err)
		}
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		want := []string{"acquired mutex a true after 0s", "ended mutex a after 0s, revoked: true"}
		if !slices.Equal(d.lines, want) {
			t.Errorf("hooks tell %q, want %q", d.lines, want)
		}
	})
}

// TestRenewedAfterTheRenewal: the deadline has changed when Renewed is called.
func TestRenewedAfterTheRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		var s *session.Session
		var deadlines []time.Time
		s = open(t, etcd, &session.Options{Hooks: session.Hooks{Renewed: func(time.Duration) {
			deadlines = append(deadlines, s.Deadline())
		}}})
		before := s.Deadline()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if len(deadlines) != 1 || !deadlines[0].After(before) {
			t.Errorf("deadlines %v, %v at first", deadlines, before)
		}
	})
}
