// Package etcdproc runs real etcd servers as child processes on loopback ports.
//
// # Usage
//
// A cluster has one member or several, plain or TLS, with or without authentication, in any version
// that holdfast supports. Tests kill, stop, freeze and restart single members. The package does not
// import testing, so that programs can use it. Package etcdtest has a shorter form for tests.
//
// The servers are built from the Go modules in integration/etcd, once for each version, into a
// cache that all processes of the machine share. Version 3.4 has no usable module, so it must be
// installed.
//
// # Limitations
//
// The package needs a Unix system. Only on Linux do the servers end if the process that started
// them is killed.
//
// # Concurrency
//
// Clusters and members are safe for concurrent use, with the exceptions that Cluster names.
package etcdproc
