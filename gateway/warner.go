package gateway

import (
	"log/slog"
	"time"
)

// warner says that something has not worked for a while: once within warnAfter, again with growing pauses, and once when it
// works again. It is of one goroutine, and needs to be asked from time to time.
type warner struct {
	log   *slog.Logger
	since time.Duration // when it stopped to work; 0: it works
	next  time.Duration // when it is said again
	pause time.Duration // after that
	err   error         // the last cause
	said  bool
}

const (
	warnAfter    = 4 * time.Second
	maxWarnPause = 10 * time.Minute
)

// waiting notes that there is no answer yet.
func (w *warner) waiting(now time.Duration, ep *endpoint) {
	if w.since == 0 {
		w.since, w.next, w.pause = now, now+warnAfter, 30*time.Second
	}
	if now < w.next {
		return
	}
	err := w.err
	if err == nil {
		err = errStalled
	}
	w.said = true
	w.log.Warn("watches_unanswered", "endpoint", ep.url, "for", (now - w.since).Round(time.Second), "err", err)
	w.next, w.pause = now+w.pause, min(2*w.pause, maxWarnPause)
}

// failed notes a failure and its cause.
func (w *warner) failed(now time.Duration, ep *endpoint, err error) {
	w.err = err
	w.waiting(now, ep)
}

// over notes that it works.
func (w *warner) over(ep *endpoint) {
	if w.said {
		w.log.Info("watches_answered", "endpoint", ep.url)
	}
	*w = warner{log: w.log}
}
