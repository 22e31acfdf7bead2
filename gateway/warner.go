package gateway

import (
	"log/slog"
	"time"
)

// warner logs a failure that lasts: once after warnAfter, again with growing pauses, and once when
// it is over. It belongs to one goroutine, and has to be called from time to time.
type warner struct {
	note  func(func()) // runs functions that may block
	log   *slog.Logger
	since time.Duration // when it began to fail; 0: it works
	next  time.Duration // when it is logged again
	pause time.Duration // the pause after that
	err   error         // the last cause
	said  bool
}

const (
	warnAfter    = 4 * time.Second
	maxWarnPause = 10 * time.Minute
)

// waiting records that there is no answer yet.
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
	log, lasted := w.log, (now - w.since).Round(time.Second)
	w.note(func() { log.Warn("watches_unanswered", "endpoint", ep.url, "for", lasted, "err", err) })
	w.next, w.pause = now+w.pause, min(2*w.pause, maxWarnPause)
}

// failed records a failure and its cause.
func (w *warner) failed(now time.Duration, ep *endpoint, err error) {
	w.err = err
	w.waiting(now, ep)
}

// over records that it works.
func (w *warner) over(ep *endpoint) {
	if w.said {
		log := w.log
		w.note(func() { log.Info("watches_answered", "endpoint", ep.url) })
	}
	*w = warner{note: w.note, log: w.log}
}
