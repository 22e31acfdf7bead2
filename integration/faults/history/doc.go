// Package history records the calls of clients and the events of etcd, and checks that they agree.
//
// # Usage
//
// Clients record their calls as Ops with a Recorder. Watchers on all members record the event Log,
// which has every revision of the store. The checks replay the log under the documented rules of
// the recipes, and then compare every answer that a client got with it. They use the rules and the
// keys, and none of the library's code.
//
// # Concurrency
//
// A Recorder and a Watcher are safe for concurrent use. The other types are plain data.
package history
