package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/session"
)

// Limits of the arguments. Calls check them before they send a request.
const (
	// MaxValue is the largest value of an item in bytes. etcd accepts requests of up to 1.5 MiB.
	MaxValue = 1 << 20
	// MaxAckOps is the largest number of operations of [Message.AckWith]. etcd accepts 128
	// operations in one transaction.
	MaxAckOps = 100
	// MaxPrefetch is the largest [Options].Prefetch.
	MaxPrefetch = 1000
	// MaxSlots is the largest [Options].MaxInFlight.
	MaxSlots = 1000
	// MaxGroup is the longest name of a group in bytes.
	MaxGroup = 256
	// MaxPriority is the most urgent priority.
	MaxPriority = 9
	// MaxDedupID is the longest de-duplication ID in bytes.
	MaxDedupID = 512
)

// DefaultDedupWindow is the default of [Options].DedupWindow.
const DefaultDedupWindow = 5 * time.Minute

// Sentinels for [errors.Is].
var (
	// ErrEmpty is returned by [Queue.TryReceive] when there is no item to receive.
	ErrEmpty = errors.New("empty")
	// ErrFull is returned by an enqueue with NoWait when the queue is at its MaxLength.
	ErrFull = errors.New("full")
	// ErrNoItem is returned by [Queue.Remove] when no item has the ID: none was enqueued with it, or
	// the item is done or was removed.
	ErrNoItem = errors.New("no such item")
	// ErrClaimed is returned by [Queue.Remove] when a consumer has claimed the item.
	ErrClaimed = errors.New("claimed by a consumer")
	// ErrTooLarge is returned when a value, an ID, a reason or a list of operations exceeds its
	// limit. The error also matches [gateway.ErrInvalid].
	ErrTooLarge = errors.New("too large")
)

// Options configure a [Queue]. nil means the zero value. They apply to this Queue only and are not
// stored in etcd.
type Options struct {
	// MaxAttempts is the number of deliveries of an item. After the last one it becomes a dead
	// letter. 0 means no limit.
	MaxAttempts int
	// MaxLength is the number of items at which Enqueue and Redrive wait for room. It includes
	// delayed and claimed items, but not dead letters. 0 means no limit.
	MaxLength int
	// Prefetch is the number of items that this Queue claims ahead of its callers, at most
	// [MaxPrefetch]. A Receive then mostly finds an item that is claimed already, which saves its
	// round trip, and claims and acks share requests. For that they wait for up to 5 ms, unless there
	// are enough for half of the Prefetch, or there is a MaxInFlight. Other consumers cannot receive
	// items that are claimed. The default is 0: each Receive, and each free function of a
	// [Queue.Consume], claims one item at once, unless it is behind one that waits in another Queue
	// of the same name and client.
	Prefetch int
	// MaxInFlight is the number of items that all consumers of the queue together have claimed at a
	// time, at most [MaxSlots], including claims ahead. All consumers need the same MaxInFlight,
	// because one without it is not counted. 0 means no limit.
	MaxInFlight int
	// PerGroup is the number of items of one group that are delivered at a time. With more than
	// one, the items that are delivered at a time begin in any order. Default 1.
	PerGroup int
	// Backoff returns the delay with which [Queue.Consume] gives an item back after an attempt that
	// failed. If Backoff is nil, the delay is 1 s, doubled with each attempt up to 1 minute. A delay
	// of 0 or less gives the item back at once.
	Backoff func(attempt int) time.Duration
	// Hooks are called for the messages of this Queue.
	Hooks Hooks
	// DedupWindow is the shortest time for which a DedupID is remembered. The longest is twice
	// that. Default 5 minutes.
	DedupWindow time.Duration
}

// Queue is a queue as one session uses it. It is safe for concurrent use. Calls of one Queue share
// requests, so goroutines should share it.
type Queue struct {
	producer

	s        *core.Session
	prefetch prefetch
	pace     *pace // nil without a Prefetch, and with a MaxInFlight
}

// New returns the queue with this name, which all sessions share. It sends no request. If the name
// or the options cannot be used, the first call returns [gateway.ErrInvalid].
func New(s *session.Session, name string, opts *Options) *Queue {
	q := &Queue{s: core.Of(s)}
	q.init(q.s, name, opts)
	// With a MaxInFlight, others may wait for the slot of an ack.
	if n := q.opt.Prefetch; n > 0 && q.opt.MaxInFlight == 0 {
		q.pace = &pace{s: q.s, ahead: n, half: (n + 1) / 2}
	}
	return q
}

func (p *producer) wrap(verb string, err error) error {
	return fmt.Errorf("queue: %s %q: %w", verb, p.name, err)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", gateway.ErrInvalid, ErrTooLarge, fmt.Sprintf(format, args...))
}
