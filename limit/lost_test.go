package limit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

// TestAWaitEndsWithItsSession: etcd does not answer the read of the blocks of dead processes.
func TestAWaitEndsWithItsSession(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		rate := limit.Rate{Tokens: 2, Per: time.Hour}
		other := limit.New(bubble.Session(t, etcd), "r", rate, nil)
		if ok, err := other.Allow(t.Context(), 2); err != nil || !ok {
			t.Errorf("Allow = %v, %v", ok, err)
		}
		s := bubble.Session(t, etcd)
		l := limit.New(s, "r", rate, nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/range" && c.Mentions("r/") {
				return c.Silence()
			}
			return c.Apply()
		})
		time.AfterFunc(3*time.Second, func() { etcd.Revoke(s.Lease()) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := l.Allow(ctx, 1)
		if ctx.Err() != nil || !errors.Is(err, session.ErrLost) {
			t.Errorf("Allow = %v", err)
		}
	})
}
