package gateway

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// streamPause decides how long to wait before the next stream. After streams that no server
// confirmed the pauses grow to a second, until one is confirmed. A connection that breaks soon
// after another stream was confirmed makes no pause grow, because the path works.
type streamPause struct {
	growing *backoff.ExponentialBackOff
	proven  time.Time // when a confirmed stream ended last
	full    time.Time // when streamsAtOnce may begin again
}

// after is called at the end of a stream. broken says that its connection broke.
func (p *streamPause) after(confirmed, broken bool, now time.Time) time.Duration {
	if confirmed {
		p.proven = now
		p.growing.Reset()
	}
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(streamEvery)
	pause := p.full.Sub(now) - streamsAtOnce*streamEvery
	if !confirmed && (!broken || now.Sub(p.proven) >= provenFor) {
		pause = max(pause, p.growing.NextBackOff())
	}
	return pause
}

// brokenOff reports that a connection ended before an answer, and was not refused.
func (e *Error) brokenOff() bool {
	return e.wordless && !e.timedOut && !e.unsent && !errors.Is(e, ErrProtocol)
}
