package session

import (
	"log/slog"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Defaults of [Options].
const (
	DefaultTTL          = 15 * time.Second
	DefaultRecordPrefix = "holdfast/sessions/"
)

// minTTL is the shortest time to live without AllowShortTTL, because a garbage collection, a slow
// disk or an election of etcd can outlast a shorter one.
const minTTL = 5 * time.Second

// Options configure a session. The zero value and nil are the defaults.
type Options struct {
	// TTL is the lease's time to live. If the process dies, others take over within TTL. If it is
	// partitioned from etcd, it keeps its holds for at least two thirds of TTL. It is rounded up to
	// whole seconds. Default 15 s; less than 5 s needs AllowShortTTL.
	TTL           time.Duration
	AllowShortTTL bool

	// Name identifies the session to people, in listings and in errors. It is stored in etcd.
	Name string

	// ParentKey is the key of another session's hold that is not released before this session has
	// ended, for example of the lock under which this process was started. Deadlock detection uses
	// it: the parent waits wherever this session waits. It is stored in etcd.
	ParentKey string

	// RecordPrefix is the prefix of the keys of session records. It must end in a slash, and be the
	// same in all programs that share locks. Default "holdfast/sessions/".
	RecordPrefix string

	// Logger receives the events of the session. At Info: it begins, ends or is trusted again, and
	// which holds were granted and for how long. At Warn: the session or a hold was lost, a
	// clean-up failed, and other errors that no call returns. Nil logs nothing. A Logger that
	// blocks delays callers, but not the end of a context.
	Logger *slog.Logger

	// WaitingAfter is the time that a call waits before Hooks.Waiting is called and the Logger
	// receives "still_waiting" at Warn. Neither sends a request. The default 0 means never.
	WaitingAfter time.Duration

	// Hooks are called on events of the session, for metrics and traces.
	Hooks Hooks
}

// config validates the options and fills in the defaults.
func (o *Options) config() (core.Config, error) {
	var opt Options
	if o != nil {
		opt = *o
	}
	switch {
	case opt.TTL == 0:
		opt.TTL = DefaultTTL
	case opt.TTL < 0 || opt.TTL > gateway.MaxTTL:
		return core.Config{}, core.Invalid(
			"a TTL of %v is not between 1s and %v", opt.TTL, gateway.MaxTTL)
	case opt.TTL < minTTL && !opt.AllowShortTTL:
		return core.Config{}, core.Invalid(
			"a TTL of %v is under %v: set AllowShortTTL if you mean it", opt.TTL, minTTL)
	}
	if opt.WaitingAfter < 0 {
		return core.Config{}, core.Invalid("a WaitingAfter of %v is negative", opt.WaitingAfter)
	}
	if opt.RecordPrefix == "" {
		opt.RecordPrefix = DefaultRecordPrefix
	}
	if !strings.HasSuffix(opt.RecordPrefix, "/") {
		return core.Config{}, core.Invalid("a record prefix must end in a slash")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return core.Config{
		TTL: opt.TTL, Name: opt.Name, ParentKey: opt.ParentKey, RecordPrefix: opt.RecordPrefix,
		Logger: opt.Logger, Hooks: opt.Hooks.core(), WaitingAfter: opt.WaitingAfter,
	}, nil
}
