package member

import (
	"context"
	"errors"
	"time"
)

const (
	// probePause is the time between the probes, and after the start of an attempt that needs none.
	probePause = 300 * time.Millisecond
	// probeTimeout bounds a probe.
	probeTimeout = 400 * time.Millisecond
)

var errOutageOver = errors.New("etcd answers again")

// probe calls restart when etcd answers again while a session is opened. During an outage the
// attempts of the client become rarer and wait longer, so that the request that is under way at the
// end of the outage may hang for seconds. A restart needs a probe that has failed, in this attempt
// or an earlier one: an etcd that is merely slow never restarts the attempt.
//
// The caller must call opened at the end of the attempt.
func (m *Membership) probe(ctx context.Context, restart func(), down *bool) (opened func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-time.After(probePause):
			case <-ctx.Done():
				return
			}
			one, end := context.WithTimeout(ctx, probeTimeout)
			_, err := m.client.Get(one, m.Key())
			end()
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				*down = true
			case *down:
				*down = false
				restart()
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}
