// Package etcdproc runs real etcd servers as child processes on loopback ports:
// one member or several, plain or TLS, with or without authentication, in any
// version holdfast supports. Members can be killed, stopped, frozen and
// restarted one by one, which is what the fault tests are made of.
//
// The servers are built from the Go modules under integration/etcd, once per
// version, into a cache shared by all processes of the machine. Version 3.4 has
// no usable module and is looked for in PATH.
//
// The package does not import testing, so programs can use it as well; tests
// have a shorter form in package etcdtest. It needs a Unix system.
package etcdproc
