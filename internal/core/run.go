package core

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Run calls fn with a session, and again with a new one each time fn returns with an error after its session was lost.
// It returns what fn returned otherwise, or the context's error. ctx of fn ends with the session; fn must then return,
// since Run waits for it. When etcd cannot be reached, or its database is full, Run keeps trying to make a session; it gives
// up on what trying cannot cure, such as wrong credentials.
//
// If fn panics or ends its goroutine, the session is closed all the same, and Run does not recover.
//
// What fn does is done at least once: it may have finished when the session is found lost.
func Run(ctx context.Context, c *gateway.Client, opt Config, fn func(ctx context.Context, s *Session) error) error {
	pause := newBackoff()
	for {
		began := time.Now()
		s, err := New(ctx, c, opt)
		switch {
		case err != nil && (ctx.Err() != nil || !transient(err)):
			return err
		case err == nil:
			err = s.run(ctx, fn)
			if err == nil || ctx.Err() != nil || !errors.Is(s.Err(), ErrLost) || errors.Is(s.Err(), ErrClosed) {
				return err
			}
			if time.Since(began) > s.opt.TTL { // it lasted
				pause.Reset()
			}
		}
		wait(ctx, pause.NextBackOff())
	}
}

// transient tells whether a New that failed may work later: etcd was not there, was full, or so slow that the
// lease had gone.
func transient(err error) bool {
	return errors.Is(err, gateway.ErrUnavailable) || errors.Is(err, ErrLost) || errors.Is(err, gateway.ErrLeaseNotFound) ||
		errors.Is(err, gateway.ErrNoSpace)
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
	defer cancel()
	return fn(ctx, s)
}

// closeTimeout bounds the revocation that Run does; what takes longer expires by itself.
const closeTimeout = 2 * time.Second
