package main

import (
	"errors"
	"sync"
	"time"
)

// handOffs: so many clients in turn hold something exclusive, each for the given time. The figures
// are the times without a holder, in milliseconds: the median and the 99th percentile.
func handOffs(
	clients int, hold time.Duration, parts int,
	contender func(c client, name string) (take, giveBack cycle),
) work {
	return func(e env, lib library) (result, error) {
		var gaps []float64
		var freed time.Time // the current holder owns both variables
		var all sync.WaitGroup
		errs := make([]error, clients)
		var everybody []client
		defer func() {
			for _, c := range everybody {
				_ = c.close()
			}
		}()
		for range clients {
			c, err := lib.connect(e.ctx, e.etcd, link{})
			if err != nil {
				return result{}, err
			}
			everybody = append(everybody, c)
		}
		m := startMeter(e.etcd)
		for i, c := range everybody {
			take, giveBack := contender(c, e.name)
			all.Go(func() {
				for time.Since(m.begin) < time.Duration(parts)*e.dur && errs[i] == nil {
					if errs[i] = take(e.ctx); errs[i] != nil {
						return
					}
					if !freed.IsZero() {
						gaps = append(gaps, float64(time.Since(freed).Microseconds())/1000)
					}
					sleep(e.ctx, hold)
					freed = time.Now()
					errs[i] = giveBack(e.ctx)
				}
			})
		}
		all.Wait()
		cost := m.cost(float64(len(gaps)))
		return result{figures: []float64{median(gaps), percentile(gaps, 99)}, cost: cost},
			errors.Join(errs...)
	}
}

func lockTurns(c client, name string) (take, giveBack cycle) {
	l := c.locker(name)
	return l.lock, l.unlock
}

func terms(c client, name string) (take, giveBack cycle) {
	t := c.elector(name)
	return t.campaign, t.resign
}
