// Package ports reserves loopback TCP ports that stay usable while a server stops and starts again.
//
// # Guarantees
//
// A port found by listening on ":0" is in the range that the kernel also uses for outgoing
// connections, so a client may get the port of a killed server. The ports of this package are below
// that range. A lock file for each port keeps the processes of one test run apart.
//
// # Concurrency
//
// The functions and the methods of a Port are safe for concurrent use.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/holdfast-go/holdfast/integration/internal/flock"
)

const (
	first = 15000
	end   = 30000
)

// A Port is a reserved loopback port.
type Port struct {
	number int
	lock   *flock.Lock
}

// Number returns the port number.
func (p *Port) Number() int { return p.number }

// Addr returns the address of the port, "127.0.0.1:number".
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number)) }

// Release ends the reservation; call it once. It returns an error if the lock file cannot be
// closed.
func (p *Port) Release() error { return p.lock.Release() }

// Reserve reserves a port on which no server listens. It returns an error if it finds none.
func Reserve() (*Port, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("ports: reserve: %w", err)
	}
	const attempts = 1000
	for range attempts {
		p := &Port{number: first + rand.IntN(end-first)}
		lock, ok, err := flock.Try(filepath.Join(dir, strconv.Itoa(p.number)))
		if err != nil {
			return nil, fmt.Errorf("ports: reserve: %w", err)
		}
		if !ok {
			continue
		}
		p.lock = lock
		if p.free() {
			return p, nil
		}
		if err := p.Release(); err != nil {
			return nil, fmt.Errorf("ports: reserve: %w", err)
		}
	}
	return nil, errors.New("ports: reserve: no free port found")
}

// free reports whether a server can listen on the port.
func (p *Port) free() bool {
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		return false
	}
	return Unlisten(l) == nil
}

// Unlisten closes a TCP listener, after which another one can listen on its port at once. It is
// needed because a child process that is being started has a copy of every open file until it runs
// its program, and after a plain Close the copy still listens. Unlisten returns an error if the
// listener cannot be closed.
func Unlisten(l net.Listener) error {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	// On Linux, a shutdown also ends the copies of the listener. Other systems return an error and
	// change nothing.
	err = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RD) })
	return errors.Join(err, l.Close())
}
