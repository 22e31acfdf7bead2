package holdfastgocron

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// ErrDone is returned by [Locker.Lock] when an instance has run the tick.
var ErrDone = errors.New("holdfastgocron: the tick is done")

// DefaultRetention is the default of [Options.Retention].
const DefaultRetention = time.Hour

// Options configure a [Locker]. nil means the zero value.
type Options struct {
	// Retention is the time for which it is known that a tick is done. It should be longer than
	// the difference of the clocks and the time between two ticks of a job. Default 1 h.
	Retention time.Duration
}

// Locker is a [gocron.Locker] with which each tick of a job is run by one instance.
type Locker struct {
	s         *session.Session
	prefix    string
	tick      Tick
	retention time.Duration
}

// NewLocker returns a locker for jobs whose names the instances share, with keys below prefix.
func NewLocker(s *session.Session, prefix string, tick Tick, opts *Options) *Locker {
	l := &Locker{s: s, prefix: prefix, tick: tick, retention: DefaultRetention}
	if opts != nil && opts.Retention != 0 {
		l.retention = opts.Retention
	}
	return l
}

// Lock starts the run of a tick, which lasts until Unlock, also after ctx has ended. It does not
// wait for another instance.
func (l *Locker) Lock(ctx context.Context, job string) (gocron.Lock, error) {
	tick := l.tick(job, time.Now())
	if tick.IsZero() {
		return nil, fmt.Errorf("%w: the job %q has no tick", gateway.ErrInvalid, job)
	}
	name := l.prefix + "/" + job + "/" + tick.UTC().Format(time.RFC3339Nano)
	o := once.New(l.s, name, &once.Options{Retention: l.retention})
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	follows := context.AfterFunc(ctx, cancel)
	r := &run{cancel: cancel, over: make(chan struct{}), done: make(chan struct{})}
	begun := make(chan struct{})
	go func() {
		defer close(r.done)
		_, r.err = o.TryDo(running, func(ctx context.Context, _ *once.Run) ([]byte, error) {
			close(begun)
			select {
			case <-r.over:
				return nil, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
	}()
	select {
	case <-begun:
		if !follows() { // ctx has ended, and running with it
			<-r.done
			return nil, r.err
		}
		return r, nil
	case <-r.done:
		cancel()
		if r.err == nil {
			r.err = ErrDone
		}
		return nil, r.err
	}
}

// run is the run of a tick.
type run struct {
	cancel context.CancelFunc
	ended  atomic.Bool
	over   chan struct{}
	done   chan struct{} // closed when err is set
	err    error
}

// grace is the time of an Unlock whose context has ended before.
const grace = time.Second

// Unlock ends the run: the tick is done. Returns an error when the run was lost, and
// [session.ErrNotHeld] when it was ended before.
func (r *run) Unlock(ctx context.Context) error {
	if r.ended.Swap(true) {
		return session.ErrNotHeld
	}
	defer r.cancel()
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
	}
	close(r.over)
	select {
	case <-r.done:
	case <-ctx.Done():
		r.cancel() // the session continues the commit
		<-r.done
	}
	return r.err
}
