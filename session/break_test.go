package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestBreak: Break deletes the incarnation of the key that it names, and no other.
func TestBreak(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fence  int64 // less the create_revision of the key
		reason string
		gone   bool // before Break
		want   error
		left   bool
	}{
		{"held", 0, "host on fire", false, nil, false},
		{"of an earlier holder", -1, "host on fire", false, session.ErrNotHeld, true},
		{"of a later holder", 1, "host on fire", false, session.ErrNotHeld, true},
		{"gone", 0, "host on fire", true, session.ErrNotHeld, false},
		{"blank reason", 0, " \n", false, gateway.ErrInvalid, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				etcd.Put("a/1", "")
				kv, _ := etcd.Get("a/1")
				if tt.gone {
					etcd.Delete("a/1")
				}
				err := session.Break(t.Context(), etcd.Client(t), "a/1", kv.CreateRevision+tt.fence, tt.reason)
				if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
					t.Errorf("Break = %v", err)
				}
				if _, left := etcd.Get("a/1"); left != tt.left {
					t.Errorf("left: %v", left)
				}
				if records := etcd.Keys("holdfast/broken/"); (len(records) == 1) != (err == nil) {
					t.Errorf("records: %q", records)
				}
			})
		})
	}
}

// TestBreakOfNothing: a fence of 0, which a missing key has, and a missing client are errors.
func TestBreakOfNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := fakeetcd.Start(t).Client(t)
		err := session.Break(t.Context(), c, "a/1", 0, "why not")
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("fence 0: %v", err)
		}
		err = session.Break(t.Context(), nil, "a/1", 1, "why not")
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("no client: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := session.Break(ended, c, "a/1", 1, "why not"); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

// TestBreakLostAnswer: after ErrUncertain, Break may be repeated.
func TestBreakLostAnswer(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			c := etcd.Client(t)
			etcd.Put("a/1", "")
			kv, _ := etcd.Get("a/1")
			etcd.Script(func(call *fakeetcd.Call) fakeetcd.Answer {
				if !call.IsTxn("a/1") {
					return call.Apply()
				}
				if applied {
					call.Apply()
				}
				return fakeetcd.Lost
			})
			err := session.Break(t.Context(), c, "a/1", kv.CreateRevision, "why not")
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Break = %v", err)
			}
			etcd.Script(nil)
			err = session.Break(t.Context(), c, "a/1", kv.CreateRevision, "why not")
			if applied != errors.Is(err, session.ErrNotHeld) || !applied && err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// TestABreakIsRecorded under a lease. A full database has no record, and the hold is broken
// nevertheless.
func TestABreakIsRecorded(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			c := etcd.Client(t)
			etcd.Put("a/1", "")
			kv, _ := etcd.Get("a/1")
			etcd.Fill(full)
			if err := session.Break(t.Context(), c, "a/1", kv.CreateRevision, "host on fire"); err != nil {
				t.Errorf("Break = %v", err)
			}
			if _, left := etcd.Get("a/1"); left {
				t.Error("the key is there")
			}
			key := fmt.Sprintf("holdfast/broken/a/%d", kv.CreateRevision)
			record, ok := etcd.Get(key)
			if ok == full {
				t.Fatalf("a record: %v", ok)
			}
			if full {
				return
			}
			var v struct {
				Key, Reason string
				Fence       int64
			}
			if err := json.Unmarshal(record.Value, &v); err != nil || v.Key != "a/1" ||
				v.Reason != "host on fire" || v.Fence != kv.CreateRevision {
				t.Errorf("%s, %v", record.Value, err)
			}
			if record.Lease == 0 {
				t.Error("it has no lease")
			}
		})
	}
}
