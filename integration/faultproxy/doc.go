// Package faultproxy disturbs the connections between a client and one etcd member.
//
// # Usage
//
// A Proxy works on bytes: it loses, holds, delays, resets or refuses. It works for any protocol,
// also TLS and gRPC. An HTTPProxy works on plain HTTP/1.1 requests: it drops, delays or repeats
// selected requests, such as the third transaction. A PeerProxy works on the connections between
// two members. Proxies can be chained.
//
// # Guarantees
//
// A proxy needs no privileges and leaves the member unchanged.
//
// # Concurrency
//
// Methods of all proxies and of ArmedRule are safe for concurrent use.
package faultproxy
