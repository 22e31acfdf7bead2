package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func countPrefix(ctx context.Context, c *clientv3.Client, prefix string) (int, error) {
	resp, err := c.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return int(resp.Count), nil
}

// clientCost is what one lock and unlock costs the client: its CPU in microseconds, and allocations. The program itself
// takes part in both, for both libraries alike.
func clientCost(goroutines int) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			cycles := make([]cycle, goroutines)
			for i := range cycles {
				cycles[i] = lockCycle(c.locker(fmt.Sprintf("%s/%d", e.name, i)))
			}
			if err := times(e.ctx, cycles, 2); err != nil { // connections and buffers are there
				return nil, err
			}
			const each = 20
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu := cpuTime()
			if err := times(e.ctx, cycles, each); err != nil {
				return nil, err
			}
			cpu = cpuTime() - cpu
			runtime.ReadMemStats(&after)
			ops := float64(goroutines * each)
			return result{float64(cpu.Microseconds()) / ops, float64(after.Mallocs-before.Mallocs) / ops}, nil
		})
	}
}

func times(ctx context.Context, cycles []cycle, n int) error {
	errs := make([]error, len(cycles))
	var all sync.WaitGroup
	for i, fn := range cycles {
		all.Go(func() {
			for range n {
				if errs[i] = fn(ctx); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// elections: three candidates, terms of 20 ms. The figures are from the resignation to the next leader.
func elections(e env, lib library) (result, error) {
	var gaps []float64
	var resigned time.Time // the leadership itself guards both
	var all sync.WaitGroup
	errs := make([]error, 3)
	stop := time.Now().Add(4 * e.dur)
	for i := range errs {
		c, err := lib.connect(e.ctx, e.etcd)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.close() }()
		who := c.elector(e.name)
		all.Go(func() {
			for time.Now().Before(stop) && errs[i] == nil {
				if errs[i] = who.campaign(e.ctx); errs[i] != nil {
					return
				}
				if !resigned.IsZero() {
					gaps = append(gaps, milliseconds(time.Since(resigned)))
				}
				sleep(e.ctx, 20*time.Millisecond)
				resigned = time.Now()
				errs[i] = who.resign(e.ctx)
			}
		})
	}
	all.Wait()
	return result{median(gaps), percentile(gaps, 99)}, errors.Join(errs...)
}

// throughput: so many producers and as many consumers, of one client each, until each producer's items are done.
func throughput(n int) work {
	return func(e env, lib library) (result, error) {
		items := max(800/n, 100)
		producer, err := lib.connect(e.ctx, e.etcd)
		if err != nil {
			return nil, err
		}
		consumer, err := lib.connect(e.ctx, e.etcd)
		if err != nil {
			return nil, errors.Join(err, producer.close())
		}
		in, out := producer.queue(e.name), consumer.queue(e.name)
		var all sync.WaitGroup
		errs := make([]error, 2*n)
		var failed atomic.Bool
		repeat := func(i int, fn func(k int) error) {
			all.Go(func() {
				for k := 0; k < items && errs[i] == nil && !failed.Load(); k++ {
					errs[i] = fn(k)
				}
				failed.CompareAndSwap(false, errs[i] != nil)
			})
		}
		begin := time.Now()
		for i := range n {
			repeat(i, func(k int) error { return in.put(e.ctx, fmt.Sprintf("item %d of %d", k, i)) })
			repeat(n+i, func(int) error { return out.take(e.ctx) })
		}
		all.Wait()
		per := float64(n*items) / time.Since(begin).Seconds()
		return result{per}, errors.Join(append(errs, producer.close(), consumer.close())...)
	}
}
