package main

// cases are run in this order.
var cases = []comparison{
	{name: "lock_own_c1", unit: "/s", quick: true, work: ownLocks(1)},
	{name: "lock_own_c16", unit: "/s", work: ownLocks(16)},
	{name: "lock_own_c64", unit: "/s", quick: true, work: ownLocks(64)},
	{name: "lock_own_c256", unit: "/s", quick: true, work: ownLocks(256)},
	{name: "lock_own_tls_c64", unit: "/s", tls: true, work: ownLocks(64)},
	{name: "lock_own_tls_c256", unit: "/s", tls: true, work: ownLocks(256)},
	{name: "client_cpu", also: []string{"allocs"}, unit: "/op", less: true, quick: true, work: clientCost(256)},
	{name: "lock_hot_p2", unit: "/s", quick: true, work: hotProcesses(2)},
	{name: "lock_hot_p8", unit: "/s", work: hotProcesses(8)},
	{name: "lock_hot_k8", unit: "/s", quick: true, work: hotGoroutines(8)},
	{name: "lock_hot_k64", unit: "/s", work: hotGoroutines(64)},
	{name: "lock_hot_k512", unit: "/s", work: hotGoroutines(512)},
	{name: "drain_k64", unit: "/s", quick: true, work: drain(64)},
	{name: "drain_k512", unit: "/s", work: drain(512)},
	{name: "handoff_5ms", unit: "ms", less: true, quick: true, work: handOff},
	{name: "election_p50", also: []string{"election_p99"}, unit: "ms", less: true, quick: true, work: elections},
	{name: "queue_1x1", unit: "/s", quick: true, work: throughput(1)},
	{name: "queue_8x8", unit: "/s", quick: true, work: throughput(8)},
	{name: "size", also: []string{"modules", "build"}, unit: "", less: true, once: true, quick: true, work: linked},
}
