package core

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Run is documented at session.Run.
func Run(
	ctx context.Context, c *gateway.Client, opt Config,
	fn func(ctx context.Context, s *Session) error,
) error {
	pause := newBackoff()
	for {
		began := time.Now()
		s, err := New(ctx, c, opt)
		switch {
		case err != nil && (ctx.Err() != nil || !transient(err)):
			return err
		case err == nil:
			err = s.run(ctx, fn)
			if err == nil || ctx.Err() != nil ||
				!errors.Is(s.Err(), ErrLost) || errors.Is(s.Err(), ErrClosed) {
				return err
			}
			if time.Since(began) > s.opt.TTL { // it lasted
				pause.Reset()
			}
		}
		wait(ctx, pause.NextBackOff())
	}
}

// transient reports whether a New that failed may succeed later: etcd was unavailable or full, or
// so slow that the lease had ended.
func transient(err error) bool {
	return errors.Is(err, gateway.ErrUnavailable) || errors.Is(err, ErrLost) ||
		errors.Is(err, gateway.ErrLeaseNotFound) || errors.Is(err, gateway.ErrNoSpace)
}

func (s *Session) run(ctx context.Context, fn func(context.Context, *Session) error) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			s.opt.Logger.Warn("session_close_failed", "lease", s.lease, "err", err)
		}
	}()
	ctx, cancel := s.bound(ctx)
	defer cancel(nil)
	return fn(ctx, s)
}

// closeTimeout bounds the revocation by Run. A lease that is not revoked by then expires.
const closeTimeout = 2 * time.Second
