package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// manyTTL makes each of many sessions renew its lease every 2 s.
	manyTTL = 6 * time.Second
	// renewals is a whole number of these renewal periods.
	renewals = 4 * time.Second
)

// manySessions: so many sessions of one client, at rest. The figure is the CPU that keeps them
// alive, in percent of a core.
func manySessions(n int) work {
	return func(e env, lib library) (result, error) {
		before := measureFootprint()
		return withClient(e, lib, func(c client) (result, error) {
			begin := time.Now()
			if err := c.sessions(e.ctx, n, manyTTL); err != nil {
				return result{}, err
			}
			made := time.Since(begin)
			client, server := atRest(e)
			points := append([]point{
				{"made_in", made.Seconds(), "s"}, {"client_cpu", client, "%"}, {"server_cpu", server, "%"},
			}, measureFootprint().since(before)...)
			points = append(points, point{"lost", float64(c.lost()), "-"})
			return result{figures: []float64{client}, points: points}, nil
		})
	}
}

// manyHolds: one client holds so many locks, each of them able to exclude other holds of the same
// client. With clientv3 each lock needs a session of its own. The figure is the same as for
// manySessions.
func manyHolds(n int) work {
	return func(e env, lib library) (_ result, err error) {
		c, err := lib.connect(e.ctx, e.etcd, link{ttl: manyTTL})
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		for i := range n {
			l, err := c.rival(e.ctx, fmt.Sprintf("%s/%d", e.name, i))
			if err == nil {
				err = l.lock(e.ctx)
			}
			if err != nil {
				return result{}, err
			}
		}
		client, _ := atRest(e)
		return result{figures: []float64{client}}, nil
	}
}

// atRest returns the CPU that the client and the server use while the client sends no requests of
// its own, in percent of a core.
func atRest(e env) (client, server float64) {
	sleep(e.ctx, renewals/2)
	m := startMeter(e.etcd)
	sleep(e.ctx, renewals)
	return m.percent()
}

// idleClients: n clients, with a session each, that neither hold nor wait for anything. The points
// are the CPU of the server, in percent of a core, and the bytes that a client receives in a
// minute.
func idleClients(n int) work {
	const settling, idle = 10 * time.Second, 20 * time.Second
	return func(e env, lib library) (_ result, err error) {
		var traffic atomic.Int64
		all, err := connectAll(e, lib, n, &traffic)
		defer func() { err = errors.Join(err, closeAll(all)) }()
		if err != nil {
			return result{}, err
		}
		sleep(e.ctx, settling)
		m, before := startMeter(e.etcd), traffic.Load()
		sleep(e.ctx, idle)
		_, server := m.percent()
		received := float64(traffic.Load()-before) / float64(n) / idle.Minutes()
		return result{points: []point{{"server_cpu", server, "%"}, {"received", received, "B/min"}}}, nil
	}
}

// manyWatches: so many watches of one client, each on a key of its own. The figure is the time in
// seconds until all are established.
func manyWatches(n int) work {
	return func(e env, lib library) (result, error) {
		const perPut = 100
		before := measureFootprint()
		return withClient(e, lib, func(c client) (result, error) {
			key := func(i int) string { return fmt.Sprintf("%s/%05d", e.name, i) }
			all := make([]watcher, n)
			m := startMeter(e.etcd)
			err := inParallel(n, makers, func(i int) (err error) {
				all[i], err = c.watch(e.ctx, key(i))
				return err
			})
			if err != nil {
				return result{}, err
			}
			took, cost := time.Since(m.begin), m.cost(float64(n))
			held := measureFootprint().since(before)
			events, err := eventsOf(e, n, perPut, key, all)
			points := append([]point{{"made_in", took.Seconds(), "s"}}, held...)
			points = append(points, point{"client_cpu_event", events.client, "us"},
				point{"server_cpu_event", events.server, "us"})
			return result{figures: []float64{took.Seconds()}, cost: cost, points: points}, err
		})
	}
}

// eventsOf puts each key once, perPut keys in one request, and returns the cost of an event. It
// puts with clientv3, because that costs little.
func eventsOf(e env, n, perPut int, key func(i int) string, all []watcher) (cost, error) {
	writer, err := e.etcd.NewClientV3()
	if err != nil {
		return cost{}, err
	}
	defer writer.Close()
	m := startMeter(e.etcd)
	for i := 0; i < n; i += perPut {
		var puts []clientv3.Op
		for k := i; k < min(i+perPut, n); k++ {
			puts = append(puts, clientv3.OpPut(key(k), ""))
		}
		if _, err := writer.Txn(e.ctx).Then(puts...).Commit(); err != nil {
			return cost{}, err
		}
	}
	for _, next := range all {
		if err := next(e.ctx); err != nil {
			return cost{}, err
		}
	}
	return m.cost(float64(n)), nil
}
