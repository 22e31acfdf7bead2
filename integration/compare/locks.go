package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ownLocks: so many goroutines of one client, each with a lock that nobody else wants.
func ownLocks(goroutines int) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			return rate(e, goroutines, func(i int) cycle { return lockCycle(c.locker(fmt.Sprintf("%s/%d", e.name, i))) })
		})
	}
}

// hotGoroutines: so many goroutines of one client want the same lock.
func hotGoroutines(goroutines int) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			rivals, err := rivals(e, c, goroutines)
			if err != nil {
				return nil, err
			}
			return rate(e, goroutines, func(i int) cycle { return rivals[i] })
		})
	}
}

func rivals(e env, c client, n int) ([]cycle, error) {
	cycles := make([]cycle, n)
	for i := range cycles {
		l, err := c.rival(e.ctx, e.name)
		if err != nil {
			return nil, err
		}
		cycles[i] = lockCycle(l)
	}
	return cycles, nil
}

// drain: so many wait, all at rest, until the holder gives the lock back; then each passes it on at once.
func drain(waiters int) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			first := c.locker(e.name)
			if err := first.lock(e.ctx); err != nil {
				return nil, err
			}
			var all sync.WaitGroup
			errs := make([]error, waiters)
			rivals, err := rivals(e, c, waiters)
			if err != nil {
				return nil, err
			}
			for i, once := range rivals {
				all.Go(func() { errs[i] = once(e.ctx) })
			}
			if err := standing(e, waiters+1); err != nil {
				return nil, err
			}
			begin := time.Now()
			err = first.unlock(e.ctx)
			all.Wait()
			return result{float64(waiters) / time.Since(begin).Seconds()}, errors.Join(append(errs, err)...)
		})
	}
}

// standing waits until so many stand in line, and a little longer, so that each has settled down to wait.
func standing(e env, n int) error {
	c, err := e.etcd.NewClientV3()
	if err != nil {
		return err
	}
	for {
		count, err := countPrefix(e.ctx, c, e.name+"/")
		if err != nil || count == n {
			sleep(e.ctx, 500*time.Millisecond)
			return errors.Join(err, c.Close())
		}
		sleep(e.ctx, 20*time.Millisecond)
	}
}

// handOff: two clients hold one lock in turn, 5 ms each. The figure is how long it is free in between.
func handOff(e env, lib library) (result, error) {
	var gaps []float64
	var freed time.Time // the lock itself guards both
	var all sync.WaitGroup
	errs := make([]error, 2)
	stop := time.Now().Add(2 * e.dur)
	for i := range errs {
		c, err := lib.connect(e.ctx, e.etcd)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.close() }()
		l := c.locker(e.name)
		all.Go(func() {
			for time.Now().Before(stop) && errs[i] == nil {
				if errs[i] = l.lock(e.ctx); errs[i] != nil {
					return
				}
				if !freed.IsZero() {
					gaps = append(gaps, milliseconds(time.Since(freed)))
				}
				sleep(e.ctx, 5*time.Millisecond)
				freed = time.Now()
				errs[i] = l.unlock(e.ctx)
			}
		})
	}
	all.Wait()
	return result{median(gaps)}, errors.Join(errs...)
}

// cycle is done again and again.
type cycle func(ctx context.Context) error

func lockCycle(l locker) cycle {
	return func(ctx context.Context) error {
		if err := l.lock(ctx); err != nil {
			return err
		}
		return l.unlock(ctx)
	}
}

// rate has goroutines repeat what each is given for the time of a measurement and counts, after a short start.
func rate(e env, goroutines int, each func(i int) cycle) (result, error) {
	const warmUp = 4 // parts of the time
	var done atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, goroutines)
	var stopped atomic.Bool
	for i := range goroutines {
		fn := each(i)
		all.Go(func() {
			for !stopped.Load() && errs[i] == nil {
				errs[i] = fn(e.ctx)
				done.Add(1)
			}
		})
	}
	sleep(e.ctx, e.dur/warmUp)
	before, begin := done.Load(), time.Now()
	sleep(e.ctx, e.dur)
	per := float64(done.Load()-before) / time.Since(begin).Seconds()
	stopped.Store(true)
	all.Wait()
	return result{per}, errors.Join(errs...)
}

// withClient gives fn a client of its own.
func withClient(e env, lib library, fn func(c client) (result, error)) (result, error) {
	c, err := lib.connect(e.ctx, e.etcd)
	if err != nil {
		return nil, err
	}
	r, err := fn(c)
	return r, errors.Join(err, c.close())
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
