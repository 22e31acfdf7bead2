package cron

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/session"
)

// Limits of a [Cron].
const (
	// MaxOps is the largest number of operations of [Tick.Complete].
	MaxOps = 100
	// MaxHistory is the largest number of ticks in a history.
	MaxHistory = 1000
	// MaxSpec is the largest length of a spec in bytes.
	MaxSpec = 256
	// MaxReason is the largest length of a reason in bytes. The record of a tick by hand has it.
	MaxReason = 1 << 10
)

// Defaults of [Options].
const (
	DefaultMaxAttempts = 3
	DefaultHistory     = 100
	// DefaultSkipLate and DefaultAllLate are the defaults of MaxLate with [MissedSkip] and with
	// [MissedAll].
	DefaultSkipLate = time.Minute
	DefaultAllLate  = 24 * time.Hour
)

// Sentinels for [errors.Is].
var (
	// ErrScheduleMismatch is returned by [Cron.Run] when a replica that has joined before has
	// another schedule. The error names both.
	ErrScheduleMismatch = errors.New("replicas have different schedules")
	// ErrTimeout is the cause of a tick's context when [Options.Timeout] is over.
	ErrTimeout = errors.New("the tick has timed out")
	// ErrPending is returned by [Cron.Trigger] when another tick by hand waits to be started.
	ErrPending = errors.New("a tick by hand is pending")
	// ErrTooLarge is returned by [Tick.Complete] when there are more than [MaxOps] operations. The
	// error also matches [gateway.ErrInvalid].
	ErrTooLarge = errors.New("too large")
)

// Missed selects the ticks that start late, of the ticks that could not start at their time,
// because an earlier tick was running, no replica was, or etcd could not be reached.
type Missed int

const (
	// MissedLatest starts the latest of them. It is the default.
	MissedLatest Missed = iota
	// MissedSkip starts the latest of them too, but only if it is not later than MaxLate.
	MissedSkip
	// MissedAll starts each of them that is not later than MaxLate, one after the other.
	MissedAll
)

// Options configure a [Cron]. nil means the zero value. They are not stored in etcd, so all
// replicas should have the same.
type Options struct {
	// Spec identifies the schedule: replicas with different specs cannot run at the same time. It
	// is needed for a schedule that has no String method, whose result is the default.
	Spec string
	// Missed selects the ticks that start late.
	Missed Missed
	// MaxLate is the time after which a tick that has not started is skipped. It compares the
	// clocks of two replicas, so it should be longer than their difference and the time to live of
	// a session. Default 1 min with MissedSkip, 24 h with MissedAll, and no limit with
	// MissedLatest.
	MaxLate time.Duration
	// Timeout is the longest time of an attempt. When it is over, the context of the tick ends. If
	// the function has not returned 1 s later, the tick goes to another replica nevertheless. 0
	// means no limit.
	Timeout time.Duration
	// MaxAttempts is the number of attempts at a tick. Attempts count however they end, also if the
	// process died, except for the attempt of a replica that is stopped by the context of Run.
	// Default 3.
	MaxAttempts int
	// Backoff returns the pause after an attempt that failed. There is no pause after an attempt
	// whose process died, because its hold had to expire. If Backoff is nil, the pause is 1 s,
	// doubled with each attempt up to 1 minute.
	Backoff func(attempt int) time.Duration
	// Jitter delays all ticks of a name by a time between 0 and Jitter that depends on the name
	// only, so that names with the same schedule do not start together.
	Jitter time.Duration
	// History is the number of ticks that [Cron.History] returns. Default 100.
	History int
	// Session configures the sessions of Run.
	Session *session.Options
}

// Cron is a schedule and its name. It is immutable, and safe for concurrent use.
type Cron struct {
	name, spec string
	schedule   Schedule
	opt        Options
}

// New returns a schedule under a name, which all replicas share. It sends no request. If the name,
// the schedule or the options cannot be used, the first call returns [gateway.ErrInvalid]. The
// schedule may be nil if [Cron.Run] is not called.
func New(name string, schedule Schedule, opts *Options) *Cron {
	c := &Cron{name: name, schedule: schedule}
	if opts != nil {
		c.opt = *opts
	}
	c.spec = c.opt.Spec
	if s, ok := schedule.(fmt.Stringer); ok && c.spec == "" {
		c.spec = s.String()
	}
	if c.opt.MaxAttempts == 0 {
		c.opt.MaxAttempts = DefaultMaxAttempts
	}
	if c.opt.History == 0 {
		c.opt.History = DefaultHistory
	}
	if c.opt.Backoff == nil {
		c.opt.Backoff = core.RetryDelay
	}
	if c.opt.MaxLate == 0 {
		c.opt.MaxLate = map[Missed]time.Duration{
			MissedSkip: DefaultSkipLate, MissedAll: DefaultAllLate,
		}[c.opt.Missed]
	}
	return c
}

// check returns [gateway.ErrInvalid] if Run cannot work.
func (c *Cron) check() error {
	o := &c.opt
	switch {
	case c.schedule == nil:
		return invalid("no schedule")
	case c.spec == "":
		return invalid("the schedule has no name; set Options.Spec")
	case len(c.spec) > MaxSpec || !utf8.ValidString(c.spec):
		return invalid("a spec of %d bytes; %d of UTF-8 are possible", len(c.spec), MaxSpec)
	case o.Missed < MissedLatest || o.Missed > MissedAll:
		return invalid("a Missed of %d", o.Missed)
	case o.MaxLate < 0 || o.Timeout < 0 || o.Jitter < 0:
		return invalid("a negative time")
	case o.MaxAttempts < 0:
		return invalid("a MaxAttempts of %d", o.MaxAttempts)
	case o.History < 0 || o.History > MaxHistory:
		return invalid("a History of %d; %d are possible", o.History, MaxHistory)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{gateway.ErrInvalid}, args...)...)
}
