package once_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/once"
)

// TestLeaseOfTheResultIsRefused after an answer was lost: the error says why, and nothing about the
// result is uncertain.
func TestLeaseOfTheResultIsRefused(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		o := once.New(bubble.Session(t, etcd), "job", &once.Options{Retention: time.Hour})
		_, err := o.Do(t.Context(), func(context.Context, *once.Run) ([]byte, error) {
			lost := false
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				switch {
				case c.Path != "/lease/grant":
					return c.Apply()
				case !lost:
					lost = true
					return fakeetcd.Lost
				}
				return fakeetcd.Denied()
			})
			return nil, nil
		})
		if !errors.Is(err, gateway.ErrPermissionDenied) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Do = %v", err)
		}
	})
}
