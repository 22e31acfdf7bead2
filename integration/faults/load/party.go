package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// The places that all parties share.
const (
	Mutex     = "mutex"
	Delayed   = "delayed" // a mutex with a lock delay of the sessions' TTL
	RW        = "rw"
	Election  = "election"
	Semaphore = "semaphore"
	Barrier   = "barrier"
	Queue     = "queue"
	// Slow is a queue with few items, so that a search for an order of its calls ends.
	Slow = "slow"
	// Grouped is a queue whose items have groups.
	Grouped = "grouped"
	// Frozen and FrozenPermit are held for long by the victims of a freeze, and wanted by the other
	// parties.
	Frozen       = "frozen"
	FrozenPermit = "frozen-permit"
	Once         = "once" // names below it
	Cron         = "cron"
	Overdue      = "overdue" // a mutex with MaxHold, some of whose holders hang
	Moving       = "moving"  // a mutex that is detached and adopted
	Cached       = "cached"  // a mutex whose sessions keep its key, which clientv3 also wants
)

// The sizes of the places.
const (
	Permits = 3
	Parties = 2 // for a round of the barrier
	Groups  = 4 // of the items of Grouped
)

// Config configures a party. It is a value.
type Config struct {
	Name      string
	Endpoints []string
	Username  string
	Password  string
	TTL       time.Duration
	Attempt   time.Duration // 0 is the library's default
	// Holds makes the party hold Frozen and FrozenPermit for long and check for pauses of its
	// process.
	Holds bool
	// Idle is the number of further sessions of the party. Each of them holds a lock that no other
	// session wants.
	Idle int
}

// Party represents one program. Its methods are safe for concurrent use.
type Party struct {
	cfg    Config
	rec    *history.Recorder
	client *gateway.Client
	notes  sync.WaitGroup // for the notes that are recorded when contexts end

	work    context.Context // ends with the load
	consume context.Context // ends when the queues are empty
	stop    context.CancelFunc
	end     context.CancelFunc
	done    sync.WaitGroup
	err     error

	fleetErr error
	cronErr  error
}

// Start starts a party that records its calls with rec. The caller closes it. Start returns an
// error if the configuration of the client is not valid.
func Start(cfg Config, rec *history.Recorder) (*Party, error) {
	client, err := gateway.New(gateway.Config{
		Endpoints:          cfg.Endpoints,
		AttemptTimeout:     cfg.Attempt,
		Username:           cfg.Username,
		Password:           gateway.Secret(cfg.Password),
		AllowPlaintextAuth: cfg.Username != "",
	})
	if err != nil {
		return nil, err
	}
	p := &Party{cfg: cfg, rec: rec, client: client}
	p.consume, p.end = context.WithCancel(context.Background())
	p.work, p.stop = context.WithCancel(p.consume)
	p.done.Go(func() {
		err := session.Run(p.consume, client, p.options(), p.session)
		if p.consume.Err() == nil {
			p.err = fmt.Errorf("party %s: %w", cfg.Name, err)
		}
	})
	p.done.Go(func() { p.fleetErr = p.shards() })
	p.done.Go(p.views)
	p.done.Go(func() { p.cronErr = p.ticks() })
	for i := range cfg.Idle {
		p.done.Go(func() { p.idle(fmt.Sprintf("idle/%s/%d", cfg.Name, i)) })
	}
	return p, nil
}

// options configure the sessions of the party's work.
func (p *Party) options() *session.Options {
	return &session.Options{TTL: p.cfg.TTL, AllowShortTTL: true, Name: p.cfg.Name}
}

// idle holds a lock until the end of the load. After a loss it continues with a new session.
func (p *Party) idle(name string) {
	opts := p.options()
	opts.Name = name
	_ = session.Run(p.work, p.client, opts, func(ctx context.Context, s *session.Session) error {
		p.noteLoss(s)
		if _, err := mutex.New(s, name, nil).Lock(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return s.Err()
	})
}

// noteLoss records the loss of a session.
func (p *Party) noteLoss(s *session.Session) {
	p.notes.Add(1)
	context.AfterFunc(s.Context(), func() {
		defer p.notes.Done()
		if cause := context.Cause(s.Context()); !errors.Is(cause, session.ErrClosed) {
			p.rec.Note(history.Op{
				Client: p.cfg.Name, Lease: int64(s.Lease()),
				Verb: history.SessionLost, Value: cause.Error(),
			})
		}
	})
}

// Stop ends the party's work, except that its consumers continue until Close.
func (p *Party) Stop() { p.stop() }

// Close ends the party and waits until it has ended. It returns an error if the party had ended by
// itself, or its client cannot be closed.
func (p *Party) Close() error {
	p.end()
	p.done.Wait()
	err := p.client.Close()
	p.notes.Wait()
	return errors.Join(p.err, p.fleetErr, p.cronErr, err)
}

// session runs the party's work with one session.
func (p *Party) session(ctx context.Context, s *session.Session) error {
	p.noteLoss(s)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.work, cancel)()
	var all sync.WaitGroup
	start := func(ctx context.Context, name string, run func(*worker)) {
		w := &worker{Party: p, s: s, ctx: ctx, lease: int64(s.Lease())}
		w.name = fmt.Sprintf("%s/%x/%s", p.cfg.Name, w.lease&0xffff, name)
		all.Go(func() { run(w) })
	}
	start(work, "mutex", (*worker).mutexes)
	start(work, "delayed", (*worker).delayedMutexes)
	start(work, "rw", (*worker).readersAndWriters)
	start(work, "election", (*worker).campaigns)
	start(work, "reader", (*worker).reads)
	start(work, "observer", (*worker).observes)
	start(work, "semaphore", (*worker).permits)
	start(work, "barrier", (*worker).awaits)
	for place, n := range map[string]int{Queue: 5, Slow: 1, Grouped: 2} {
		q := queue.New(s, place, nil) // without Prefetch, so that the order of calls holds
		for i := range n {
			start(work, fmt.Sprintf("%s-in%d", place, i), func(w *worker) { w.produces(place, q) })
			start(ctx, fmt.Sprintf("%s-out%d", place, i), func(w *worker) { w.consumes(place, q) })
		}
	}
	var last atomic.Int64
	start(work, "transfers", func(w *worker) { w.transfers(&last) })
	start(work, "copies", func(w *worker) { w.copies(&last) })
	start(work, "takes", (*worker).takes)
	start(work, "once", (*worker).onces)
	start(work, "overdue", (*worker).hangs)
	start(work, "moving", (*worker).moves)
	for i := range cachers {
		start(work, fmt.Sprintf("cached%d", i), (*worker).caches)
	}
	start(work, "frozen", (*worker).holdsLong)
	start(work, "frozen-permit", (*worker).holdsPermitLong)
	all.Wait()
	return s.Err()
}

// worker is one goroutine of a party.
type worker struct {
	*Party
	s     *session.Session
	ctx   context.Context // ends with the load or the session
	name  string
	lease int64
}

// begin records the start of a call.
func (w *worker) begin(place, verb string, set func(*history.Op)) *history.Op {
	op := history.Op{Client: w.name, Lease: w.lease, Place: place, Verb: verb}
	if set != nil {
		set(&op)
	}
	return w.rec.Begin(op)
}

// rest waits for a random time around d. It returns false if the context ended before that.
func (w *worker) rest(d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// patience returns the context for a call. One in n has a deadline so short that faults cut the
// call off.
func (w *worker) patience(n int) (context.Context, context.CancelFunc) {
	if rand.N(n) == 0 {
		return context.WithTimeout(w.ctx, 300*time.Millisecond)
	}
	return w.ctx, func() {}
}

// finish returns a context for a call that must be finished after the end of the load, too.
func (w *worker) finish() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
}

// outcome returns the outcome of a write with this error.
func outcome(err error) history.Outcome {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, gateway.ErrUncertain):
		return history.Unknown
	case errors.Is(err, session.ErrNotHeld):
		return history.Refused
	}
	return history.Failed
}

// got returns the outcome of a call that acquires a hold.
func got(err error) history.Outcome {
	if err != nil {
		return history.Failed
	}
	return history.OK
}

// watchLoss records the end of a hold by a loss. Call the returned function when the hold was
// released.
func (w *worker) watchLoss(place string, h session.Hold) (done func()) {
	return w.watchLossOf(place, h, func(o *history.Op) { o.Key, o.Fence = h.Key(), h.Fence() })
}

// watchLossOf is watchLoss of a hold that is not known by its key and fence.
func (w *worker) watchLossOf(
	place string, h session.Hold, identify func(*history.Op),
) (done func()) {
	w.notes.Add(1)
	stop := context.AfterFunc(h.Context(), func() {
		defer w.notes.Done()
		if cause := context.Cause(h.Context()); !errors.Is(cause, session.ErrReleased) {
			op := history.Op{
				Client: w.name, Lease: w.lease, Place: place, Verb: history.Lose,
				Value: cause.Error(),
			}
			identify(&op)
			w.rec.Note(op)
		}
	})
	return func() {
		if stop() {
			w.notes.Done()
		}
	}
}

// release releases a hold and records the call.
func (w *worker) release(place string, h session.Hold, release func(context.Context) error) {
	ctx, cancel := w.finish()
	defer cancel()
	op := w.begin(place, history.Unlock, func(o *history.Op) {
		o.Key, o.Fence = h.Key(), h.Fence()
	})
	err := release(ctx)
	w.rec.End(op, outcome(err), err, nil)
}

// write makes a guarded write.
func (w *worker) write(place string, h session.Hold) {
	op := w.begin(place, history.Write, func(o *history.Op) { o.Key, o.Fence = h.Key(), h.Fence() })
	ctx, cancel := w.finish()
	defer cancel()
	put := gateway.OpPut(history.ValueKey(place), []byte(history.Guarded(h.Fence(), op.Token())))
	resp, err := h.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
	w.rec.End(op, outcome(err), err, func(o *history.Op) {
		if err == nil {
			o.Revision = resp.Revision
		}
	})
}
