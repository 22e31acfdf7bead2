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

// throughput: n producers of one client, and another client that removes the items in n goroutines
// (holdfast's with Consume and a Prefetch). Each moves a fixed number of items, and repeats this
// until the time is up.
func throughput(n, prefetch int) work {
	return func(e env, lib library) (_ result, err error) {
		items := max(800/n, 100)
		var ends []client
		defer func() {
			for _, c := range ends {
				err = errors.Join(err, c.close())
			}
		}()
		for range 2 {
			c, err := lib.connect(e.ctx, e.etcd, link{})
			if err != nil {
				return result{}, err
			}
			ends = append(ends, c)
		}
		in, out := ends[0].queue(e.name, 0), ends[1].queue(e.name, prefetch)
		var all sync.WaitGroup
		errs := make([]error, n+1)
		var failed atomic.Bool
		run := func(items int) {
			for i := range n {
				all.Go(func() {
					for k := 0; k < items && errs[i] == nil && !failed.Load(); k++ {
						errs[i] = in.put(e.ctx, fmt.Sprintf("item %d of %d", k, i))
					}
					failed.CompareAndSwap(false, errs[i] != nil)
				})
			}
			errs[n] = out.drain(e.ctx, n, items)
			failed.CompareAndSwap(false, errs[n] != nil)
			all.Wait()
		}
		run(1) // opens connections and watches
		m := startMeter(e.etcd)
		done := 0.0
		for done == 0 || time.Since(m.begin) < e.dur && !failed.Load() {
			run(items)
			done += float64(n * items)
		}
		took, cost := time.Since(m.begin), m.cost(done)
		return result{figures: []float64{done / took.Seconds()}, cost: cost}, errors.Join(errs...)
	}
}

// backlog: one goroutine puts an item and takes one, on a queue in which so many items wait.
func backlog(waiting int) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			q := c.queue(e.name, 0)
			if err := q.fill(e.ctx, waiting); err != nil {
				return result{}, err
			}
			r, err := rate(e, 1, func(int) cycle {
				return func(ctx context.Context) error {
					return errors.Join(q.put(ctx, "one more"), q.take(ctx))
				}
			})
			if err == nil {
				r.points = []point{
					{"rate", r.figures[0], "/s"},
					{"client_cpu", r.cost.client, "us"},
					{"server_cpu", r.cost.server, "us"},
				}
				err = remove(e)
			}
			return r, err
		})
	}
}

// remove deletes the keys that a measurement leaves in etcd.
func remove(e env) error {
	c, err := e.etcd.NewClientV3()
	if err != nil {
		return err
	}
	_, err = c.Delete(e.ctx, e.name, clientv3.WithPrefix())
	return errors.Join(err, c.Close())
}
