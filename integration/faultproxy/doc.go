// Package faultproxy stands between a client and one etcd member and breaks
// their conversation on demand, without privileges and without touching the
// member.
//
// A Proxy knows bytes: it swallows, holds back, delays, resets or refuses, and
// works for any protocol, TLS and gRPC included. An HTTPProxy knows plain
// HTTP/1.1 requests: it drops, delays or repeats chosen ones, such as the
// answer to the third transaction. The two can be put behind each other.
package faultproxy
