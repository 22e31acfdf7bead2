package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/grace"
	"github.com/holdfast-go/holdfast/session"
)

// breakIt breaks the hold through another client.
func breakIt(t *testing.T, etcd *fakeetcd.Server, h held) {
	t.Helper()
	err := session.Break(t.Context(), etcd.Client(t), h.Key(), h.Fence(), "host on fire")
	if err != nil {
		t.Fatal(err)
	}
}

// TestABrokenHoldEndsBeforeItsRecordIsRead: the context does not wait for the record, and errors.As
// waits for it, but not for ever.
func TestABrokenHoldEndsBeforeItsRecordIsRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		took time.Duration // of the read
		want bool
	}{
		{"at once", 0, true},
		{"slowly", 900 * time.Millisecond, true},
		{"too slowly", 5 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				h := hold(t, open(t, etcd, nil), "a")
				time.Sleep(2 * time.Second) // then its key is watched
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/kv/range" && strings.Contains(string(c.Body), "aG9sZGZhc3QvYnJva2VuL") {
						c.Sleep(tt.took)
					}
					return c.Apply()
				})
				breakIt(t, etcd, h)
				synctest.Wait()
				began, cause := time.Now(), context.Cause(h.Context())
				if !errors.Is(cause, session.ErrKeyDeleted) || !errors.Is(cause, session.ErrLost) {
					t.Fatalf("the cause is %v", cause)
				}
				broken, ok := errors.AsType[*session.BrokenError](cause)
				if ok != tt.want || ok && broken.Reason != "host on fire" {
					t.Errorf("%+v, %v", broken, ok)
				}
				if took := time.Since(began); took != min(tt.took, grace.Time) {
					t.Errorf("errors.As took %v", took)
				}
				time.Sleep(tt.took) // until the server has answered
			})
		})
	}
}

// TestAReleaseSaysWhoHasBrokenTheHold, also of a hold that is not watched yet.
func TestAReleaseSaysWhoHasBrokenTheHold(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{0, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			h := hold(t, open(t, etcd, nil), "a")
			time.Sleep(age)
			breakIt(t, etcd, h)
			err := h.grip.Release(t.Context())
			if !errors.Is(err, session.ErrNotHeld) || !errors.Is(err, session.ErrKeyDeleted) ||
				!strings.Contains(err.Error(), "host on fire") {
				t.Errorf("Release = %v", err)
			}
		})
	}
}

// TestAKeyDeletedByHandHasNoRecord.
func TestAKeyDeletedByHandHasNoRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := hold(t, s, "a")
		etcd.Put(core.BrokenPrefix+"2", `{"key":"b","reason":"of another key"}`)
		time.Sleep(2 * time.Second)
		etcd.Delete("a")
		<-h.Context().Done()
		if broken, ok := errors.AsType[*session.BrokenError](h.Err()); ok {
			t.Errorf("%+v", broken)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		late := core.Of(s).KeyDeleted(t.Context(), "a", h.Fence())
		if broken, ok := errors.AsType[*session.BrokenError](late); ok {
			t.Errorf("after the end of the session: %+v", broken)
		}
	})
}
