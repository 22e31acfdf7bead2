package session

import (
	"fmt"
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

// minTTL is what a time to live must at least be without AllowShortTTL: a shorter one is lost to a garbage collection,
// a slow disk or an election.
const minTTL = 5 * time.Second

// Options of a session. The zero value, or nil, is right for most.
type Options struct {
	// TTL is how long the lease outlives the last renewal: the time after which others take over when this process
	// dies, and which it can be cut off from etcd without losing anything, less a third. Rounded up to whole seconds;
	// default 15 s; under 5 s only with AllowShortTTL.
	TTL           time.Duration
	AllowShortTTL bool

	// Name tells people who this is, in listings and in errors. It is stored in etcd.
	Name string

	// ParentKey is the key of the hold, of another session, that will not be given back before this session has ended: this
	// process was started under it, say. It tells those who look for deadlocks that the one waits where the other does. It
	// is stored in etcd.
	ParentKey string

	// RecordPrefix is where sessions keep their records; all programs that share locks should agree. Default
	// "holdfast/sessions/".
	RecordPrefix string

	// Logger gets the story of the session: at Info when it begins and ends, is trusted again, and who was granted what
	// for how long; at Warn what cannot be returned, a lost session, a clean-up that failed. Nil logs nothing. One that
	// blocks keeps callers waiting, but nobody from learning of a loss in time.
	Logger *slog.Logger

	// Hooks are called when something happens to the session, for metrics and traces.
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
		return core.Config{}, invalid("a TTL of %v is not between 1s and %v", opt.TTL, gateway.MaxTTL)
	case opt.TTL < minTTL && !opt.AllowShortTTL:
		return core.Config{}, invalid("a TTL of %v is under %v: set AllowShortTTL if you mean it", opt.TTL, minTTL)
	}
	if opt.RecordPrefix == "" {
		opt.RecordPrefix = DefaultRecordPrefix
	}
	if !strings.HasSuffix(opt.RecordPrefix, "/") {
		return core.Config{}, invalid("a record prefix must end in a slash")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return core.Config{
		TTL: opt.TTL, Name: opt.Name, ParentKey: opt.ParentKey, RecordPrefix: opt.RecordPrefix,
		Logger: opt.Logger, Hooks: opt.Hooks.core(),
	}, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("session: %w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}
