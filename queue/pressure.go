package queue

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// backOff pauses before a try if several producers move the tail, for a random time that grows with
// the pressure. The tail's value carries the pressure, so it is the same for all producers, and
// none of them tries more often than the others. The known tail is out of date after a pause, and a
// read costs the server less than a compare that fails.
//
// A producer that knows of no others always knows the tail, and others would lose to it for ever.
// Therefore it pauses now and then for as long as another needs to read the tail and move it.
func (p *producer) backOff(ctx context.Context, losses int) error {
	e := &p.end
	own := min(losses, maxLosses) + losses/manyLosses
	if pressure := min(e.pressure+own, maxPressure); pressure > 0 {
		e.known = false
		return sleep(ctx, rand.N(min(max(e.took, time.Millisecond)<<pressure, maxPause)))
	}
	switch now := time.Now(); {
	case now.Sub(e.moved) > 2*e.took: // others had the time
		e.opened = now
	case now.Sub(e.opened) > turn:
		err := sleep(ctx, 2*e.took)
		e.opened = time.Now()
		return err
	}
	return nil
}

// adjust sets the pressure that the next transaction stores, if it succeeds. It stays above zero
// while others move the tail, because a producer that does not pause would win each time.
func (e *tail) adjust(losses int) {
	switch {
	case losses > 1:
		e.pressure = min(e.pressure+min(losses/2, maxLosses), maxPressure)
	case losses == 0 && (e.pressure > 1 || e.alone >= manyAlone):
		e.pressure = max(e.pressure-1, 0)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctxerr.Of(ctx)
	}
}
