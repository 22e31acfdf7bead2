// Package holdfastkratos registers and discovers kratos services, in the keys of kratos' own
// registry on etcd.
//
// # Usage
//
//	registry := holdfastkratos.New(client, nil)
//	app := kratos.New(kratos.Name("orders"), kratos.Server(srv), kratos.Registrar(registry))
//	…
//	conn, err := grpc.DialInsecure(ctx, grpc.WithEndpoint("discovery:///orders"),
//		grpc.WithDiscovery(registry))
//
// Services of this package and of github.com/go-kratos/kratos/contrib/registry/etcd find each
// other, so that a fleet can move one service at a time.
//
// # Guarantees
//
// A service stays registered until Deregister: its key is put again after each loss of its session,
// after an outage of any length, and after another client has deleted it. A process that dies is
// gone when its lease ends. A watcher never returns an older state than before.
//
// # Limitations
//
// When another process registers the same ID, the last one counts, as in kratos' registry, and the
// first one returns after a loss of its session.
//
// # Concurrency
//
// A [Registry] is safe for concurrent use. The calls of one watcher's Next must not overlap.
//
// # Errors
//
// Calls return the context's error when ctx ends first, and the error of a request that failed.
//
// # Keys
//
// A service is a leased key <namespace>/<name>/<ID> with the instance as JSON. The namespace is
// "/microservices" unless [Options] say otherwise.
//
// # Source
//
// The layout of the keys is from kratos' contrib/registry/etcd.
package holdfastkratos
