package stm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// TestAReadEndsWithItsSession: etcd does not answer, and ctx does not end. Nothing is uncertain,
// because nothing was sent that writes.
func TestAReadEndsWithItsSession(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(tx *stm.Tx) error{
		"key":    func(tx *stm.Tx) error { _, err := tx.Get("a"); return err },
		"prefix": func(tx *stm.Tx) error { _, err := tx.Prefix("a"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				etcd.Freeze()
				defer etcd.Thaw()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := stm.Do(ctx, s, read, nil)
				if ctx.Err() != nil || !errors.Is(err, session.ErrLost) ||
					errors.Is(err, gateway.ErrUncertain) {
					t.Errorf("Do = %v", err)
				}
			})
		})
	}
}
