// Package load uses locks, an election, a semaphore, a barrier, queues, single runs, a schedule,
// shards, transactions, a cache and a limit at once, as a program would, and records the answers.
//
// # Usage
//
// A Party represents one program: it has one client, one session at a time, and one goroutine or
// more for each recipe. It runs in the process of the test, or in a process of its own that the
// test can freeze and kill.
//
// # Concurrency
//
// A Party is safe for concurrent use.
package load
