// Package ports hands out loopback TCP ports that stay usable while their
// holder stops and starts again.
//
// A port found by listening on ":0" comes from the range the kernel also uses
// for outgoing connections, so a killed server may find its port taken by some
// client. The ports given here lie below that range, and a lock file per port
// keeps the processes of one test run apart.
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

// Release gives the port back.
func (p *Port) Release() error { return p.lock.Release() }

// Reserve reserves one port on which nobody listens.
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

// free reports whether the port can be listened on.
func (p *Port) free() bool {
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		return false
	}
	return Unlisten(l) == nil
}

// Unlisten closes a TCP listener, after which its port can be listened on at once. Close alone does not do that: a child
// that is being started has a copy of every open file until it runs its own program, and the copy listens on.
func Unlisten(l net.Listener) error {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	// Only Linux shuts a listener down, for all who have a copy. Elsewhere this is an error, and changes nothing.
	err = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RD) })
	return errors.Join(err, l.Close())
}
