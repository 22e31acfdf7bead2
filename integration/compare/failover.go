package main

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// failover kills the leader of three members during a loop of lock and unlock. The figure is the
// longest time between two unlocks, in milliseconds. Errors are counted and do not end the loop.
func failover(e env, lib library) (result, error) {
	return withClient(e, lib, func(c client) (_ result, err error) {
		once := lockCycle(c.locker(e.name))
		var rounds atomic.Int64
		var stopped atomic.Bool
		var longest time.Duration
		var failed int
		var loop sync.WaitGroup
		loop.Go(func() {
			last := time.Now()
			for !stopped.Load() {
				if once(e.ctx) != nil {
					failed++
					sleep(e.ctx, time.Millisecond)
					continue
				}
				longest, last = max(longest, time.Since(last)), time.Now()
				rounds.Add(1)
			}
		})
		reach := func(n int64) error {
			for rounds.Load() < n {
				if err := e.ctx.Err(); err != nil {
					return err
				}
				sleep(e.ctx, time.Millisecond)
			}
			return nil
		}
		leader, err := e.etcd.Leader(e.ctx)
		if err == nil {
			err = reach(50)
		}
		if err == nil {
			err = leader.Kill()
			before := rounds.Load()
			if err == nil {
				sleep(e.ctx, time.Second) // the gap may begin a little later
				err = reach(before + 100)
			}
		}
		stopped.Store(true)
		loop.Wait()
		if err == nil {
			err = leader.Restart(e.ctx)
		}
		return result{
			figures: []float64{float64(longest.Microseconds()) / 1000},
			points:  []point{{"errors", float64(failed), "-"}},
		}, errors.Join(err, e.etcd.WaitHealthy(e.ctx))
	})
}
