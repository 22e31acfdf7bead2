// Package containers starts etcd in containers, for tests of programs that use this library.
//
// # Usage
//
//	func TestNightly(t *testing.T) {
//		etcd := containers.Start(t, &containers.Options{Nodes: 3})
//		s := etcd.Session(nil)
//		etcd.Node(0).Pause()
//		if err := nightly(t.Context(), s); err != nil {
//			t.Error(err)
//		}
//	}
//
// The methods of a [Cluster] have the names of the ones of holdfasttest.Server, which is an etcd in
// memory: [Cluster.Session] returns a session like another process would have, and
// [Cluster.Client] and [Cluster.Config] are for programs that make their own. A [Node] is paused,
// cut off and stopped alone. [Cluster.Network] is for programs that run in containers themselves.
//
// # Guarantees
//
// A started cluster has confirmed a read of the majority through each node. The endpoint of a node
// stays the same while it is cut off or stopped. Containers, network, clients and sessions end with
// the test. The end of each node's log is printed if the test fails.
//
// # Limitations
//
// The package needs a Docker engine, and is a module of its own, so that programs that import the
// library do not get testcontainers-go with it. Without an engine [Start] fails the test, as
// testcontainers.Run does; call testcontainers.SkipIfProviderIsNotHealthy before it to skip. The
// environment variables of testcontainers-go say where the engine is.
//
// A lease lives for 2 s at least, so that a test that waits for an expiry takes as long. The data
// of a node ends with its container. Nodes have neither TLS nor authentication at their start.
//
// # Concurrency
//
// All methods are safe for concurrent use. Those that report to the test must be called from its
// goroutine: all except Endpoints, Endpoint, Name, Config, Network and Container.
//
// # Errors
//
// Functions that fail end the test.
package containers
