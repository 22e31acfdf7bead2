package gateway

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// lastingStream is how long a stream must last to be replaced at once. It is under the 100 ms
	// at which etcd serves a watch of the past: on a path that cuts streams that often, a pause
	// would make the stream miss the moment again and again.
	lastingStream = 50 * time.Millisecond
	// replacePause bounds the pause after a confirmed stream that lasted less. The pause is random,
	// so that it does not keep time with a path that cuts streams at regular intervals.
	replacePause = 200 * time.Millisecond
)

// streamPause decides how long to wait before the next stream. A stream that a server confirmed is
// replaced soon: at once if it lasted for lastingStream, else within replacePause. After streams
// that no server confirmed the pauses grow to a second, until one is confirmed.
type streamPause struct{ growing *backoff.ExponentialBackOff }

func (p streamPause) after(confirmed bool, lasted time.Duration) time.Duration {
	switch {
	case !confirmed:
		return p.growing.NextBackOff()
	case lasted < lastingStream:
		return min(p.growing.NextBackOff(), rand.N(replacePause))
	default:
		p.growing.Reset()
		return 0
	}
}
