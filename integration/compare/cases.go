package main

import "time"

// cases are run in this order, grouped by the kind of server.
var cases = []comparison{
	{name: "lock_own_c1", unit: "/s", quick: true, floor: true, work: ownLocks(1, link{})},
	{name: "lock_own_c16", unit: "/s", floor: true, work: ownLocks(16, link{})},
	{name: "lock_own_c64", unit: "/s", quick: true, floor: true, work: ownLocks(64, link{})},
	{name: "lock_own_c256", unit: "/s", quick: true, floor: true, work: ownLocks(256, link{})},
	{
		name: "client_cpu", also: []string{"allocs"}, unit: "us", units: []string{"-"}, less: true,
		quick: true, work: lockCost(256),
	},
	{name: "lock_hot_p2", unit: "/s", quick: true, work: hotProcesses(2)},
	{name: "lock_hot_p8", unit: "/s", work: hotProcesses(8)},
	{name: "lock_hot_k8", unit: "/s", quick: true, work: hotGoroutines(8, link{})},
	{name: "lock_hot_k64", unit: "/s", work: hotGoroutines(64, link{})},
	{name: "lock_hot_k512", unit: "/s", work: hotGoroutines(512, link{})},
	{name: "lock_deferred_c1", unit: "/s", quick: true, work: ownLocks(1, link{deferred: true})},
	{name: "lock_cached_c1", unit: "/s", quick: true, work: ownLocks(1, link{cache: true})},
	{name: "lock_cached_k8", unit: "/s", quick: true, work: hotGoroutines(8, link{cache: true})},
	{name: "lock_cached_k64", unit: "/s", work: hotGoroutines(64, link{cache: true})},
	{name: "drain_k64", unit: "/s", quick: true, work: drain(64)},
	{name: "drain_k512", unit: "/s", work: drain(512)},
	{
		name: "handoff_5ms", also: []string{"handoff_5ms_p99"}, unit: "ms", less: true, quick: true,
		work: handOffs(2, 5*time.Millisecond, 3, lockTurns),
	},
	{
		name: "election_p50", also: []string{"election_p99"}, unit: "ms", less: true, quick: true,
		work: handOffs(3, 20*time.Millisecond, 3, terms),
	},
	{name: "queue_1x1", unit: "/s", quick: true, work: throughput(1, 16)},
	{name: "queue_8x8", unit: "/s", quick: true, work: throughput(8, 16)},
	{name: "txn_c1", unit: "/s", work: bareTransactions},
	{name: "stm_c1", unit: "/s", work: transfers(1, false)},
	{name: "stm_c16", unit: "/s", work: transfers(16, false)},
	{name: "stm_cached_c1", unit: "/s", work: transfers(1, true)},
	{name: "stm_cached_c16", unit: "/s", work: transfers(16, true)},

	{name: "lock_own_tls_c64", unit: "/s", on: secure, work: ownLocks(64, link{})},
	{name: "lock_own_tls_c256", unit: "/s", on: secure, work: ownLocks(256, link{})},

	{
		name: "failover", unit: "ms", less: true, on: three, rounds: 3, series: "failover", size: 1,
		work: failover,
	},

	scaled("sessions", 1000, comparison{
		name: "sessions_1000", unit: "%", less: true, rounds: 3, work: manySessions(1000),
	}),
	{name: "sessions_1000_shared", unit: "%", less: true, on: scale, rounds: 3, work: manyHolds(1000)},
	scaled("sessions", 10_000, comparison{
		name: "sessions_10000", rounds: 1, work: manySessions(10_000),
	}),
	scaled("watches", 1000, comparison{name: "watches_1000", rounds: 1, work: manyWatches(1000)}),
	scaled("watches", 10_000, comparison{
		name: "watches_10000", unit: "s", less: true, rounds: 3, work: manyWatches(10_000),
	}),
	scaled("idle", 100, comparison{name: "idle_100", rounds: 1, work: idleClients(100)}),
	scaled("idle", 1000, comparison{name: "idle_1000", rounds: 1, work: idleClients(1000)}),
	scaled("here", 10, comparison{name: "here_10", rounds: 1, work: waitingHere(10)}),
	scaled("here", 100, comparison{name: "here_100", rounds: 1, work: waitingHere(100)}),
	scaled("here", 1000, comparison{name: "here_1000", rounds: 1, work: waitingHere(1000)}),
	scaled("line", 10, comparison{name: "line_10", unit: "/s", rounds: 3, work: fleet(10, ofLock)}),
	scaled("line", 100, comparison{name: "line_100", unit: "/s", rounds: 3, work: fleet(100, ofLock)}),
	scaled("line", 1000, comparison{
		name: "line_1000", unit: "/s", rounds: 1, work: fleet(1000, ofLock),
	}),
	scaled("election", 10, comparison{
		name: "fleet_election_10", unit: "/s", rounds: 1, work: fleet(10, ofElection),
	}),
	scaled("election", 100, comparison{
		name: "fleet_election_100", unit: "/s", rounds: 1, work: fleet(100, ofElection),
	}),
	scaled("election", 1000, comparison{
		name: "fleet_election_1000", unit: "/s", long: true, work: fleet(1000, ofElection),
	}),
	scaled("semaphore", 10, comparison{
		name: "fleet_semaphore_10", unit: "/s", rounds: 1, work: fleet(10, ofSemaphore),
	}),
	scaled("semaphore", 100, comparison{
		name: "fleet_semaphore_100", unit: "/s", rounds: 1, work: fleet(100, ofSemaphore),
	}),
	scaled("semaphore", 1000, comparison{
		name: "fleet_semaphore_1000", unit: "/s", long: true, work: fleet(1000, ofSemaphore),
	}),
	scaled("backlog", 1000, comparison{name: "queue_backlog_1000", rounds: 1, work: backlog(1000)}),
	scaled("backlog", 10_000, comparison{
		name: "queue_backlog", unit: "/s", rounds: 3, work: backlog(10_000),
	}),
	scaled("backlog", 100_000, comparison{
		name: "queue_backlog_100000", rounds: 1, work: backlog(100_000),
	}),

	{
		name: "size", also: []string{"modules", "build"}, unit: "MB", units: []string{"-", "s"},
		less: true, on: scale, rounds: 1, quick: true, work: linked,
	},
}

// scaled returns a case that is a point of a series, on the server of the large ones. A case
// without a unit has its figures in the series only.
func scaled(series string, size int, c comparison) comparison {
	c.on, c.series, c.size, c.mute = scale, series, size, c.unit == ""
	return c
}
