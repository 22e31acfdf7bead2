package shard

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/holdfast-go/holdfast/internal/line"
)

var errUnwound = errors.New("the function ended its goroutine")

// duty is the shards of a member during one session.
type duty struct {
	*runner
	turn   chan struct{}  // held by the shard that is being handed over
	shards sync.WaitGroup // the goroutines of the shards

	mu     sync.Mutex
	mine   map[int]bool   // the assignment to this member, without the paused shards
	stints map[int]*stint // the shards that it has, waits for or hands over
	idle   chan struct{}  // closed when there are none; nil if no call waits for it
	loads  *loads         // see load.go
}

// stint is the service of a shard by a goroutine.
type stint struct {
	move func(why error) // the shard is not this member's any more
	stop func(why error) // the shard has no next owner that may be waited for
}

func newDuty(r *runner) *duty {
	return &duty{
		runner: r, turn: make(chan struct{}, 1), stints: map[int]*stint{}, loads: newLoads(),
	}
}

// set takes an assignment. While there is none, the member keeps the shards that it holds, because
// no next owner waits for them.
func (d *duty) set(ctx context.Context, f followed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mine = f.of(d.id)
	for s := range f.paused {
		delete(d.mine, s)
	}
	for s, stint := range d.stints {
		_, paused := f.paused[s]
		switch {
		case paused:
			stint.move(ErrPaused)
			stint.stop(ErrPaused)
		case !d.mine[s]:
			stint.move(ErrMoved)
		}
		if f.empty() {
			stint.stop(ErrMoved)
		}
	}
	for s := range d.mine {
		if d.stints[s] == nil {
			d.begin(ctx, s)
		}
	}
	d.checkIdle()
}

// over returns a channel that is closed when the member has no shards and is assigned none. It must
// be called once.
func (d *duty) over() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	over := make(chan struct{})
	d.idle = over
	d.checkIdle()
	return over
}

// checkIdle must be called with mu locked.
func (d *duty) checkIdle() {
	if d.idle != nil && len(d.mine) == 0 && len(d.stints) == 0 {
		close(d.idle)
		d.idle = nil
	}
}

// begin serves a shard in a goroutine, until it has moved or ctx ends. mu must be locked. A shard
// that is assigned again while it moves is served again after that.
func (d *duty) begin(ctx context.Context, number int) {
	wanted, move := context.WithCancelCause(ctx)
	until, stop := context.WithCancelCause(ctx)
	d.stints[number] = &stint{move, stop}
	d.shards.Go(func() {
		defer stop(nil)
		defer move(nil)
		d.serve(ctx, wanted, until, number)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.stints, number)
		if d.mine[number] && ctx.Err() == nil {
			d.begin(ctx, number)
		}
		d.checkIdle()
	})
}

// serve holds the shard, again after each loss of its key, while it is wanted.
func (d *duty) serve(ctx, wanted, until context.Context, number int) {
	l := line.Line{
		Session: d.session, Name: lineName(d.group, number), Kind: "shard", Rule: line.Exclusive,
		Checked: true,
	}
	for again := (line.Again{}); wanted.Err() == nil; {
		h, err := l.Enter(wanted, line.Join{Value: d.id})
		if err == nil {
			s := &Shard{number: number, hold: h, duty: d, line: &l, turn: make(chan struct{}, 1)}
			d.hold(ctx, wanted, until, s)
			again = line.Again{}
			continue
		}
		if again.Wait(wanted) != nil {
			return
		}
	}
}

// hold runs the function under a hold, until the hold is lost, the shard has a next owner that
// waits, or ctx ends. Then it ends the function, waits for it, and releases the hold.
func (d *duty) hold(ctx, wanted, until context.Context, s *Shard) {
	running, cancel := context.WithCancelCause(ctx)
	lost := context.AfterFunc(s.Context(), func() { //nolint:contextcheck // the hold's own life
		cancel(s.Err())
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := errUnwound
		defer func() { // also if fn ends its goroutine, because nothing serves the shard then
			if err != nil && running.Err() == nil && s.Err() == nil { // running ends a little later
				d.quit(err)
			}
		}()
		err = d.fn(running, s)
	}()
	turn := d.awaitNext(wanted, until, s)
	// A pause counts, also after a move that was taken back.
	cancel(cmp.Or(s.Err(), context.Cause(ctx), context.Cause(until), context.Cause(wanted)))
	<-done
	lost()
	d.loads.forget(s.number)
	_ = line.Finish(ctx, s.hold.Grip, s.hold.Grip.Release) // the session goes on with it
	if turn {
		<-d.turn
	}
}

// awaitNext returns when the function of a shard must end. turn means that the caller must give the
// turn back: shards are handed over one after the other, so that most of them go on.
func (d *duty) awaitNext(wanted, until context.Context, s *Shard) (turn bool) {
	select {
	case <-wanted.Done():
	case <-s.Context().Done():
		return false
	}
	until, stop := context.WithCancel(until)
	defer stop()
	defer context.AfterFunc(s.Context(), stop)() //nolint:contextcheck // the hold's own life
	_ = s.line.Until(until, func(v line.Snapshot) (bool, error) { return len(v.Members) > 1, nil })
	if until.Err() != nil {
		return false
	}
	select {
	case d.turn <- struct{}{}:
		return true
	case <-until.Done():
		return false
	}
}

func lineName(group string, shard int) string { return group + "//shards/" + strconv.Itoa(shard) }
