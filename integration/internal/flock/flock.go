// Package flock takes advisory locks on files, so that several test processes
// can share a cache or a range of ports. The kernel drops a lock when its
// process dies, so nothing has to be cleaned up after a crash.
package flock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A Lock is an exclusive advisory lock on a file.
type Lock struct{ file *os.File }

// Acquire locks the file at path, creating it if needed, and waits for the
// process that has it.
func Acquire(path string) (*Lock, error) {
	l, err := take(path, syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("flock: lock %s: %w", path, err)
	}
	return l, nil
}

// Try locks the file at path if nobody has it; ok is false if somebody does.
func Try(path string) (l *Lock, ok bool, err error) {
	l, err = take(path, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("flock: try %s: %w", path, err)
	}
	return l, true, nil
}

// Release gives the lock back. The file stays, since removing it would let two
// processes hold a lock on the same name.
func (l *Lock) Release() error { return l.file.Close() }

func take(path string, how int) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{file: f}, nil
}
