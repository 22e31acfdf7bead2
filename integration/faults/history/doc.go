// Package history keeps what clients did and what etcd saw of it, and checks the one against the other.
//
// Clients record their calls as Ops. Watchers on all members keep the event Log, every revision of the store. The checks
// play the log back, revision by revision, under the rules that the recipes document, and then look whether every answer
// that a client got agrees with it. They know the rules and the keys, and none of the library's code.
package history
