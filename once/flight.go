package once

import (
	"context"
	"errors"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// flight is the call that joins the line for all calls of a Once. It lands when there is an outcome
// for all, when its run ends in another way, and at the latest when its call returns. Calls that
// wait for a flight without an outcome join again, and one of them is the next flight.
type flight struct {
	done   chan struct{} // closed when it lands
	landed bool          // guarded by Once.mu
	found  bool          // res and err are the outcome for all
	res    Result
	err    error
}

// function is the type of the functions that run.
type function = func(context.Context, *Run) ([]byte, error)

func (o *Once) do(ctx context.Context, fn function) (Result, error) {
	for {
		f, first := o.join()
		if first {
			return o.fly(ctx, f, fn, o.line.Enter)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return Result{}, ctxerr.Of(ctx)
		}
		if f.found {
			return f.res, f.err
		}
	}
}

func (o *Once) tryDo(ctx context.Context, fn function) (Result, error) {
	f, first := o.join()
	if first {
		return o.fly(ctx, f, fn, o.line.Try)
	}
	res, err := o.read(ctx) // because the other call may be about to find it
	if errors.Is(err, ErrNoResult) {
		err = ErrRunning
	}
	return res, err
}

// join returns the flight, and whether the caller must fly it.
func (o *Once) join() (_ *flight, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil {
		return o.flight, false
	}
	o.flight = &flight{done: make(chan struct{})}
	return o.flight, true
}

func (o *Once) fly(
	ctx context.Context, f *flight, fn function, enter enterFunc,
) (Result, error) {
	defer o.land(f) // also if fn panics or ends its goroutine
	res, found, err := o.lead(ctx, f, fn, enter)
	if found {
		o.landWith(f, res, err)
	}
	return res, err
}

// land lets the calls that wait for the flight join again.
func (o *Once) land(f *flight) { o.landed(f, flight{}) }

// landWith passes the outcome to the calls that wait for the flight.
func (o *Once) landWith(f *flight, res Result, err error) {
	res.Ran = false
	o.landed(f, flight{found: true, res: res, err: err})
}

// landed lands a flight once.
func (o *Once) landed(f *flight, with flight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.landed {
		return
	}
	f.landed, f.found, f.res, f.err = true, with.found, with.res, with.err
	o.flight = nil // it was f, because the next can join only now
	close(f.done)
}
