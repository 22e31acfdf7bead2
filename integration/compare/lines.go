package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// fleetTTL is so long that the renewals of a fleet are not among the cost of its releases.
const fleetTTL = 5 * time.Minute

// A fleet is at rest for atRestFor before its first release. The measurement begins after rotating
// and so many releases more, because the first waiters joined a short line and follow all of it.
const (
	atRestFor = 3 * time.Second
	rotating  = time.Second
	nearest   = 40
)

// contender returns the lock, election or semaphore of a client of a fleet.
type contender func(c client, name string) locker

func ofLock(c client, name string) locker      { return c.locker(name) }
func ofElection(c client, name string) locker  { return candidate{c.elector(name)} }
func ofSemaphore(c client, name string) locker { return c.permits(name) }

// candidate is an elector as a locker.
type candidate struct{ elector }

func (c candidate) lock(ctx context.Context) error   { return c.campaign(ctx) }
func (c candidate) unlock(ctx context.Context) error { return c.resign(ctx) }

// fleet: n clients, with a connection and a session each, want one thing. The points are the cost
// of each release of it: the events that the server sends, the bytes that all clients together
// receive, and CPU.
func fleet(n int, of contender) work {
	return func(e env, lib library) (_ result, err error) {
		var traffic atomic.Int64
		all, err := connectAll(e, lib, n+1, &traffic)
		defer func() { err = errors.Join(err, closeAll(all)) }()
		if err != nil {
			return result{}, err
		}
		lockers := make([]locker, len(all))
		for i, c := range all {
			lockers[i] = of(c, e.name)
		}
		return handOn(e, lockers, &traffic)
	}
}

// waitingHere is the same for goroutines of one client.
func waitingHere(n int) work {
	return func(e env, lib library) (_ result, err error) {
		var traffic atomic.Int64
		c, err := lib.connect(e.ctx, e.etcd, link{ttl: fleetTTL, traffic: &traffic})
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		lockers := make([]locker, n+1)
		for i := range lockers {
			if lockers[i], err = c.rival(e.ctx, e.name); err != nil {
				return result{}, err
			}
		}
		return handOn(e, lockers, &traffic)
	}
}

// handOn measures after the first, which holds the lock while all others wait in line, has released
// it.
func handOn(e env, lockers []locker, traffic *atomic.Int64) (result, error) {
	first, others := lockers[0], lockers[1:]
	if err := first.lock(e.ctx); err != nil {
		return result{}, err
	}
	e.dur *= 2
	r, err := loop{
		goroutines: len(others), each: func(i int) cycle { return lockCycle(others[i]) },
		hasty: true, warm: nearest,
		settle: func() error {
			if err := standing(e, len(lockers)); err != nil {
				return err
			}
			sleep(e.ctx, atRestFor)
			err := first.unlock(e.ctx)
			sleep(e.ctx, rotating)
			return err
		},
		gauges: []gauge{
			{"events", "-", func() (float64, error) { return eventsSent(e.ctx, e.etcd) }},
			{"received", "B", func() (float64, error) { return float64(traffic.Load()), nil }},
		},
	}.run(e)
	if err == nil {
		r.points = append(r.points, point{"rate", r.figures[0], "/s"},
			point{"client_cpu", r.cost.client, "us"}, point{"server_cpu", r.cost.server, "us"})
	}
	return r, err
}

// connectAll returns n clients with a session each. After an error the others are nil.
func connectAll(e env, lib library, n int, traffic *atomic.Int64) ([]client, error) {
	all := make([]client, n)
	return all, inParallel(n, makers, func(i int) (err error) {
		all[i], err = lib.connect(e.ctx, e.etcd, link{ttl: fleetTTL, traffic: traffic})
		return err
	})
}

func closeAll(all []client) error {
	return inParallel(len(all), makers, func(i int) error {
		if all[i] == nil {
			return nil
		}
		return all[i].close()
	})
}
