package session

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
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

	// RecordPrefix is where sessions keep their records; all programs that share locks should agree. Default
	// "holdfast/sessions/".
	RecordPrefix string

	// Logger gets what cannot be returned: a lost session, a clean-up that failed. Nil logs nothing.
	Logger *slog.Logger

	Hooks Hooks
}

// Hooks tell a program about its session. Each may be nil. They run in goroutines of the library and must not block, nor
// close the session.
type Hooks struct {
	// Suspect: half the time to live has passed without an acknowledged renewal. No new hold is handed out.
	Suspect func()
	// Trusted: a renewal was acknowledged after Suspect.
	Trusted func()
	// Lost: the session has ended, with the cause that its context has. Not called for Close and Orphan.
	Lost func(cause error)
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	switch {
	case out.TTL == 0:
		out.TTL = DefaultTTL
	case out.TTL < 0 || out.TTL > gateway.MaxTTL:
		return out, invalid("a TTL of %v is not between 1s and %v", out.TTL, gateway.MaxTTL)
	case out.TTL < minTTL && !out.AllowShortTTL:
		return out, invalid("a TTL of %v is under %v: set AllowShortTTL if you mean it", out.TTL, minTTL)
	}
	if out.RecordPrefix == "" {
		out.RecordPrefix = DefaultRecordPrefix
	}
	if !strings.HasSuffix(out.RecordPrefix, "/") {
		return out, invalid("a record prefix must end in a slash")
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("session: %w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}
