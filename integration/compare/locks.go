package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ownLocks: so many goroutines of one client, each with a lock that no other goroutine wants.
func ownLocks(goroutines int, l link) work {
	return func(e env, lib library) (result, error) {
		return withLink(e, lib, l, func(c client) (result, error) {
			return rate(e, goroutines, func(i int) cycle {
				return lockCycle(c.locker(fmt.Sprintf("%s/%d", e.name, i)))
			})
		})
	}
}

// lockCost is the cost of one lock and unlock for the client: CPU and allocations. Each run does
// the same number of operations, because otherwise a faster library would spread the constant costs
// over more of them.
func lockCost(goroutines int) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			cycles := make([]cycle, goroutines)
			for i := range cycles {
				cycles[i] = lockCycle(c.locker(fmt.Sprintf("%s/%d", e.name, i)))
			}
			times := func(n int) error {
				return inParallel(goroutines*n, goroutines, func(i int) error {
					return cycles[i%goroutines](e.ctx)
				})
			}
			if err := times(2); err != nil { // opens connections and fills buffers
				return result{}, err
			}
			const each = 20
			m := startMeter(e.etcd)
			err := times(each)
			cost := m.cost(float64(goroutines * each))
			return result{figures: []float64{cost.client, cost.allocs}, cost: cost}, err
		})
	}
}

// hotGoroutines: so many goroutines of one client want the same lock.
func hotGoroutines(goroutines int, l link) work {
	return func(e env, lib library) (result, error) {
		return withLink(e, lib, l, func(c client) (result, error) {
			rivals, err := rivals(e, c, goroutines)
			if err != nil {
				return result{}, err
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

// drain: so many goroutines wait at rest until the holder releases the lock. Then each releases it
// as soon as it has it.
func drain(waiters int) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			first := c.locker(e.name)
			if err := first.lock(e.ctx); err != nil {
				return result{}, err
			}
			rivals, err := rivals(e, c, waiters)
			if err != nil {
				return result{}, err
			}
			var all sync.WaitGroup
			errs := make([]error, waiters)
			for i, once := range rivals {
				all.Go(func() { errs[i] = once(e.ctx) })
			}
			if err := standing(e, waiters+1); err != nil {
				return result{}, err
			}
			m := startMeter(e.etcd)
			err = first.unlock(e.ctx)
			all.Wait()
			took, cost := time.Since(m.begin), m.cost(float64(waiters))
			return result{figures: []float64{float64(waiters) / took.Seconds()}, cost: cost},
				errors.Join(append(errs, err)...)
		})
	}
}

// standing waits until n waiters are in line, and then longer, so that each is at rest.
func standing(e env, n int) error {
	c, err := e.etcd.NewClientV3()
	if err != nil {
		return err
	}
	for {
		resp, err := c.Get(e.ctx, e.name+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || int(resp.Count) >= n {
			sleep(e.ctx, max(500*time.Millisecond, time.Duration(n)*3*time.Millisecond))
			return errors.Join(err, c.Close())
		}
		sleep(e.ctx, 20*time.Millisecond)
	}
}

// cycle is an operation that is repeated.
type cycle func(ctx context.Context) error

func lockCycle(l locker) cycle {
	return func(ctx context.Context) error {
		if err := l.lock(ctx); err != nil {
			return err
		}
		return l.unlock(ctx)
	}
}

// rate counts how often goroutines complete their operation in the time of a measurement, after a
// short start.
func rate(e env, goroutines int, each func(i int) cycle) (result, error) {
	const warmUp = 4 // the start is this fraction of the time
	settle := func() error { sleep(e.ctx, e.dur/warmUp); return nil }
	return loop{goroutines: goroutines, each: each, settle: settle}.run(e)
}

// loop is an operation that goroutines repeat. The measurement begins when settle returns.
type loop struct {
	goroutines int
	each       func(i int) cycle // the operation of each
	settle     func() error
	gauges     []gauge
	warm       int64 // operations before the measurement, after settle
	hasty      bool  // the goroutines that still wait at the end are cancelled
}

// gauge is a counter that is read before and after, to find its increase per operation.
type gauge struct {
	metric, unit string
	read         func() (float64, error)
}

// A loop with fewer than so many operations in the time of a measurement is measured longer, up to
// a limit.
const (
	fewest  = 20
	longest = 20 * time.Second
)

func (l loop) run(e env) (result, error) {
	var done atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, l.goroutines)
	var stopped atomic.Bool
	ctx, leave := context.WithCancel(e.ctx)
	defer leave()
	for i := range l.goroutines {
		fn := l.each(i)
		all.Go(func() {
			for !stopped.Load() {
				err := fn(ctx)
				switch {
				case err == nil:
					done.Add(1)
				case !stopped.Load():
					errs[i] = err
					return
				}
			}
		})
	}
	r, err := l.measure(e, &done)
	stopped.Store(true)
	if l.hasty {
		leave()
	}
	all.Wait()
	return r, errors.Join(append(errs, err)...)
}

func (l loop) measure(e env, done *atomic.Int64) (result, error) {
	if err := l.settle(); err != nil {
		return result{}, err
	}
	started := time.Now()
	for done.Load() < l.warm && time.Since(started) < longest && e.ctx.Err() == nil {
		sleep(e.ctx, e.dur/10)
	}
	before, err := readAll(l.gauges)
	if err != nil {
		return result{}, err
	}
	m, begin := startMeter(e.etcd), done.Load()
	sleep(e.ctx, e.dur)
	for done.Load() < begin+fewest && time.Since(m.begin) < longest && e.ctx.Err() == nil {
		sleep(e.ctx, e.dur/10)
	}
	operations, took := float64(done.Load()-begin), time.Since(m.begin)
	r := result{figures: []float64{operations / took.Seconds()}, cost: m.cost(max(operations, 1))}
	after, err := readAll(l.gauges)
	for i, g := range l.gauges {
		r.points = append(r.points, point{g.metric, (after[i] - before[i]) / max(operations, 1), g.unit})
	}
	return r, err
}

func readAll(gauges []gauge) ([]float64, error) {
	values := make([]float64, len(gauges))
	var errs []error
	for i, g := range gauges {
		v, err := g.read()
		values[i], errs = v, append(errs, err)
	}
	return values, errors.Join(errs...)
}

// withClient calls fn with a client that only fn uses.
func withClient(e env, lib library, fn func(c client) (result, error)) (result, error) {
	return withLink(e, lib, link{}, fn)
}

func withLink(e env, lib library, l link, fn func(c client) (result, error)) (result, error) {
	c, err := lib.connect(e.ctx, e.etcd, l)
	if err != nil {
		return result{}, err
	}
	r, err := fn(c)
	return r, errors.Join(err, c.close())
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
