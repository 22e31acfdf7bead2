package core_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAReleaseInDoubtThatEtcdRejectsDeletesTheKey: a release was cut off before it was applied, and
// one of its operations names a lease that does not exist. The session deletes the key without the
// operations, and a repeated release reports that they were not applied.
func TestAReleaseInDoubtThatEtcdRejectsDeletesTheKey(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := open(t, etcd, nil)
		freed := 0
		_, grip := holdKey(t, s, "line/me", func() { freed++ })
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("line/me") {
				return c.Silence()
			}
			return c.Apply()
		})
		then := []gateway.Op{gateway.OpPut("own", nil, gateway.WithLease(0x1234))}
		err := grip.ReleaseWith(bubble.Within(t, time.Second), core.ReleaseWrite{Then: then})
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("ReleaseWith = %v", err)
		}
		etcd.Script(nil)
		if err := grip.Release(bubble.Within(t, 10*time.Second)); !errors.Is(err, core.ErrNotHeld) {
			t.Errorf("a repeated Release = %v", err)
		}
		if keys := etcd.Keys("line/"); len(keys) > 0 || freed != 1 || grip.Rejected() {
			t.Errorf("keys %v are left; freed %d times", keys, freed)
		}
		if err := s.Err(); err != nil {
			t.Error(err)
		}
	})
}
