package queue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/merge"
	"github.com/holdfast-go/holdfast/session"
)

// Producer enqueues items without a session, because nothing that it writes is under a session's
// lease. It is safe for concurrent use. Calls of one Producer share requests, so goroutines should
// share it.
type Producer struct{ producer }

// NewProducer returns a producer of the queue with this name. It sends no request, and need not be
// closed. Of the options, MaxLength, DedupWindow and the hook Enqueued apply. If the name or the
// options cannot be used, the first call returns [gateway.ErrInvalid].
func NewProducer(c *gateway.Client, name string, opts *Options) *Producer {
	var id [8]byte
	_, _ = rand.Read(id[:]) // cannot fail
	p := &Producer{}
	p.init(&clientHost{c: c, id: hex.EncodeToString(id[:])}, name, opts)
	return p
}

// Enqueue is [Queue.Enqueue] without a session.
//
// Returns [gateway.ErrUncertain] when ctx ended after the item was sent. It also returns
// ErrUncertain when an answer was lost and etcd has compacted the revision at which the item would
// be found; only a session is exact then. The item may be in the queue. Repeat the call with the
// same DedupID to have it there once.
func (p *Producer) Enqueue(
	ctx context.Context, value []byte, opts *EnqueueOptions,
) (id string, err error) {
	return p.add(ctx, value, opts)
}

// EnqueueAll is [Queue.EnqueueAll] without a session. It returns the same errors as
// [Producer.Enqueue].
func (p *Producer) EnqueueAll(
	ctx context.Context, values [][]byte, opts *EnqueueOptions,
) (ids []string, err error) {
	return p.addEach(ctx, values, opts)
}

// producer is the part of a queue that adds items.
type producer struct {
	host host
	name string
	opt  Options
	keys keys

	end   tail
	room  room
	adds  merge.Batcher[*addition]
	dedup dedupLease
}

// host is a [core.Session], or a client.
type host interface {
	merge.Owner
	Client() *gateway.Client
	Incarnation() string
	CheckName(name string) error
	Err() error
	Bound(ctx context.Context) (context.Context, context.CancelFunc)
}

func (p *producer) init(h host, name string, opts *Options) {
	p.host, p.name, p.keys = h, name, keysOf(name)
	p.end.turn = make(chan struct{}, 1)
	if opts != nil {
		p.opt = *opts
	}
	if p.opt.PerGroup == 0 {
		p.opt.PerGroup = 1
	}
	if p.opt.Backoff == nil {
		p.opt.Backoff = core.RetryDelay
	}
	if p.opt.DedupWindow == 0 {
		p.opt.DedupWindow = DefaultDedupWindow
	}
	p.adds = merge.Batcher[*addition]{Owner: h, Pick: pickAdditions, Send: p.sendAdditions}
}

// check validates the arguments of New.
func (p *producer) check() error {
	if err := p.host.CheckName(p.name); err != nil {
		return err
	}
	switch {
	case strings.Contains(p.name+"/", "//"):
		return invalid("the name %q has an empty part", p.name)
	case p.opt.MaxAttempts < 0 || p.opt.MaxLength < 0:
		return invalid("a negative MaxAttempts or MaxLength")
	case p.opt.MaxInFlight < 0 || p.opt.MaxInFlight > MaxSlots:
		return invalid("a MaxInFlight of %d is not between 0 and %d", p.opt.MaxInFlight, MaxSlots)
	case p.opt.PerGroup < 1:
		return invalid("a negative PerGroup")
	case p.opt.Prefetch < 0 || p.opt.Prefetch > MaxPrefetch:
		return invalid("a Prefetch of %d is not between 0 and %d", p.opt.Prefetch, MaxPrefetch)
	case p.opt.DedupWindow < time.Second || p.opt.DedupWindow > gateway.MaxTTL/2:
		return invalid("a DedupWindow of %v is not between 1s and %v",
			p.opt.DedupWindow, gateway.MaxTTL/2)
	}
	return nil
}

// clientHost is the host of a [Producer]. It has no end of its own: a goroutine of it ends when the
// calls have returned that it works for.
type clientHost struct {
	c  *gateway.Client
	id string
}

func (h *clientHost) Client() *gateway.Client  { return h.c }
func (h *clientHost) Incarnation() string      { return h.id }
func (h *clientHost) Context() context.Context { return context.Background() }
func (h *clientHost) Err() error               { return nil }

func (h *clientHost) Background(run func(ctx context.Context)) bool {
	go run(context.Background())
	return true
}

func (h *clientHost) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

func (h *clientHost) CheckName(name string) error {
	if h.c == nil {
		return invalid("no client")
	}
	return core.CheckName(name, session.DefaultRecordPrefix)
}
