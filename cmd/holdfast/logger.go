package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// watchReopening is how long watches may take to reopen after an outage, because they pause between
// attempts.
const watchReopening = 10 * time.Second

// plainLog prints plain messages for the client's log records about calls that it retries. Without
// them a verb that waits for etcd would be silent.
type plainLog struct {
	warn func(format string, args ...any)

	mu       sync.Mutex
	muted    bool      // the verb's own error reports the outage
	outage   bool      // an outage was printed, and its end was not
	silent   bool      // the same for watches
	answered time.Time // end of the last outage
}

func (*plainLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}
func (l *plainLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *plainLog) WithGroup(string) slog.Handler      { return l }

// mute turns the messages off or on.
func (l *plainLog) mute(muted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.muted = muted
}

// Handle prints a message for the record, or nothing.
func (l *plainLog) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.muted {
		return nil
	}
	switch why, ep := attrs["err"], attrs["endpoint"]; r.Message {
	case "etcd_out_of_reach":
		if l.silent {
			break
		}
		l.outage = true
		l.warn("etcd has not answered for %v, still trying: %s: %s",
			attrs["for"], ep, innermost(why))
	case "etcd_within_reach":
		if l.outage {
			l.warn("etcd answers again, after %v: %s", attrs["after"], ep)
		}
		l.outage, l.answered = false, time.Now()
	case "watches_unanswered":
		// else the cause is the outage, which is printed already
		if !l.outage && time.Since(l.answered) > watchReopening {
			l.silent = true
			l.warn("no watch has been answered for %v, still trying; changes are seen late: %s: %s",
				attrs["for"], ep, innermost(why))
		}
	case "watches_answered":
		if l.silent {
			l.warn("watches are answered again: %s", ep)
		}
		l.silent = false
	case "tls_files_not_used":
		l.warn("the files for TLS have changed and cannot be used, so the last good ones are: %v",
			why)
	case "tls_files_used_again":
		l.warn("the files for TLS can be used again")
	default:
		if r.Level >= slog.LevelWarn {
			l.warn("%s %v", r.Message, attrs)
		}
	}
	return nil
}

// innermost returns the text of an error's cause.
func innermost(v slog.Value) string {
	if err, ok := v.Any().(error); ok {
		return reason(err)
	}
	return fmt.Sprint(v)
}
