package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/internal/merge"
	"github.com/holdfast-go/holdfast/session"
)

// Limits that calls are held to before anything is sent.
const (
	// MaxValue is how large, in bytes, the value of an item may be. etcd takes 1.5 MiB in one request.
	MaxValue = 1 << 20
	// MaxAckOps is how many operations [Message.AckWith] takes. etcd takes 128 in one transaction.
	MaxAckOps = 100
	// MaxPriority is the most urgent priority.
	MaxPriority = 9
	// MaxDedupID is how long, in bytes, a de-duplication ID may be.
	MaxDedupID = 512
)

// DefaultDedupWindow is how long a de-duplication ID is remembered at least.
const DefaultDedupWindow = 5 * time.Minute

// Sentinels for [errors.Is].
var (
	// ErrEmpty: a [Queue.TryReceive] found nothing to receive.
	ErrEmpty = errors.New("empty")
	// ErrFull: an enqueue with NoWait found the queue at its MaxLength.
	ErrFull = errors.New("full")
	// ErrTooLarge: a value, or a list of operations, over one of the limits. The error is also [gateway.ErrInvalid].
	ErrTooLarge = errors.New("too large")
)

// Options of a queue. The zero value, or nil, is right for most. They are this handle's own: nothing of them is stored.
type Options struct {
	// MaxAttempts is how often an item is delivered; then it goes to the dead letters. 0 means without end.
	MaxAttempts int
	// MaxLength is how many items Enqueue and Redrive let there be, delayed ones and those with consumers included, dead
	// letters not; at that length they wait. 0 means no limit.
	MaxLength int
	// DedupWindow is how long at least, and at most twice that, a DedupID is remembered. Default 5 minutes.
	DedupWindow time.Duration
}

// Queue names a queue. It is safe for concurrent use; making one does no I/O. Calls through one Queue share requests, so
// goroutines should share it.
type Queue struct {
	s    *core.Session
	name string
	opt  Options
	keys keys

	end   tail
	line  line.Line
	adds  merge.Batcher[*addition]
	dedup dedupLease
	ahead prefetch
}

// New names the queue that all sessions share under name. A name or options that cannot be used are reported by the first
// call. nil means the zero Options.
func New(s *session.Session, name string, opts *Options) *Queue {
	q := &Queue{s: core.Of(s), name: name, keys: keysOf(name), end: tail{turn: make(chan struct{}, 1)}}
	if opts != nil {
		q.opt = *opts
	}
	if q.opt.DedupWindow == 0 {
		q.opt.DedupWindow = DefaultDedupWindow
	}
	q.line = line.Line{Session: q.s, Name: q.keys.line, Checked: true, Kind: "queue", Rule: line.Exclusive}
	q.adds = merge.Batcher[*addition]{Owner: q.s, Pick: pickAdditions, Send: q.sendAdditions}
	return q
}

// check validates what New took.
func (q *Queue) check() error {
	if err := q.s.CheckName(q.name); err != nil {
		return err
	}
	switch {
	case strings.Contains(q.name+"/", "//"):
		return invalid("the name %q has an empty part", q.name)
	case q.opt.MaxAttempts < 0 || q.opt.MaxLength < 0:
		return invalid("a negative MaxAttempts or MaxLength")
	case q.opt.DedupWindow < time.Second || q.opt.DedupWindow > gateway.MaxTTL/2:
		return invalid("a DedupWindow of %v is not between 1s and %v", q.opt.DedupWindow, gateway.MaxTTL/2)
	}
	return nil
}

func (q *Queue) wrap(verb string, err error) error {
	return fmt.Errorf("queue: %s %q: %w", verb, q.name, err)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", gateway.ErrInvalid, ErrTooLarge, fmt.Sprintf(format, args...))
}

// bound gives a context that also ends with the session.
func (q *Queue) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	life := q.s.Context()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return ctx, func() { stop(); cancel(nil) }
}
