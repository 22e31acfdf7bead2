// Package holdfastgrpc resolves the members of a group to the addresses of a gRPC client.
//
// # Usage
//
//	conn, err := grpc.NewClient("holdfast:///services/api",
//		grpc.WithResolvers(holdfastgrpc.Members(client, nil)),
//		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`),
//		grpc.WithTransportCredentials(creds))
//
// The servers join the group with [member.Join], with their address as the value. [Endpoints]
// resolves the keys of etcd's own package naming/endpoints, so that clients can move before the
// servers do.
//
// # Guarantees
//
// The addresses are of one revision of etcd, and never go back. A change of the group reaches
// the connection with its event. While etcd cannot be reached, the connection keeps the last
// addresses.
//
// # Limitations
//
// A server that died is an address until its lease ends; the balancer of gRPC avoids it before,
// because it cannot connect.
//
// # Concurrency
//
// One builder serves any number of connections. Those to one group share a watch.
//
// # Errors
//
// Build returns an error for a target without a name. Later errors, such as
// [gateway.ErrPermissionDenied], are reported to the connection, and the resolver tries again.
//
// # Keys
//
// The resolvers read the members of a group, see package member, or the keys <name>/<key> of
// package naming/endpoints. They write nothing.
//
// # Source
//
// The layout of the endpoints is from go.etcd.io/etcd/client/v3/naming/endpoints.
package holdfastgrpc
