// Package holdfasttest is an etcd in memory, for tests of programs that use this library.
//
// # Usage
//
// Run the test in a bubble of testing/synctest, where time passes only while nothing can run:
//
//	synctest.Test(t, func(t *testing.T) {
//		etcd := holdfasttest.New(t)
//		s := etcd.Session(nil)
//		done := make(chan error, 1)
//		go func() { done <- nightly(t.Context(), s) }()
//		synctest.Wait() // nightly has the lock and works
//		etcd.Revoke(s.Lease())
//		if err := <-done; !errors.Is(err, session.ErrLost) {
//			t.Error(err)
//		}
//	})
//
// [Server.Session] returns a session like another process would have. [Server.Client] and
// [Server.Config] are for programs that make their own. [Server.ServeHTTP] serves programs that
// need a URL, from an httptest.Server, outside of a bubble.
//
// [Server.Stop], [Server.CutStreams] and [Server.Restore] are faults of the server.
// [Server.DropAnswer], [Server.Repeat], [Server.Delay] and [Server.BlackHole] are faults of the
// network, for the requests that a [Match] selects. [Server.Revoke], [Server.Delete] and
// [Server.Compact] act like an operator.
//
// # Guarantees
//
// Keys, transactions, watches, leases, compaction and permissions have the answers, the errors and
// the events of etcd 3.6. One suite compares them with a real etcd, in thousands of random
// requests.
//
// A server starts in well under a millisecond. A lease of 15 s expires in a bubble as soon as
// nothing else can run. The server and its clients end with the test and leave no goroutine.
//
// # Limitations
//
// There is one member, so that there are no elections, no members that lag behind and no old
// answers to serializable reads. The database has no size.
//
// Of the calls of [gateway.Auth] there are Enable, Disable, Authenticate, UserAdd,
// UserChangePassword, UserGrantRole, RoleAdd and RoleGrantPermission. The others, and those about
// members, alarms and snapshots, return the error of code 12.
//
// Leases expire exactly on time; etcd takes up to a second longer. Large messages of watches are
// not split. The JSON names must be those that the library sends.
//
// In a bubble, a test that waits in vain runs until the -timeout of go test, because the renewals
// of its sessions keep the time moving.
//
// A test on it does not replace a test on a real etcd: it shows neither speed nor TLS, nor
// anything that lies between a program and etcd.
//
// # Concurrency
//
// All methods are safe for concurrent use. Those that report to the test, [Server.Client],
// [Server.Session] and the faults with a [Match], must be called from its goroutine.
//
// # Errors
//
// Functions that fail end the test. A fault for one request that no request met fails the test at
// its end, because such a test would show nothing.
//
// # Source
//
// The idea of a server in the test's own process is from miniredis.
package holdfasttest
