// Package model searches the histories of the recipes for an order in which a single program could
// have made all calls.
//
// # Guarantees
//
// The search does not use the revisions in the log of etcd, on which package history relies. It
// uses only the calls, their times and their results. It takes from the log only which calls of
// unknown outcome took effect.
//
// # Concurrency
//
// The functions are safe for concurrent use.
package model
