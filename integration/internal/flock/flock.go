// Package flock acquires advisory locks on files, so that several test processes can share a cache
// or a range of ports.
//
// # Guarantees
//
// The kernel releases a lock when its process ends, so nothing has to be cleaned up after a crash.
//
// # Concurrency
//
// The functions are safe for concurrent use.
package flock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A Lock is an exclusive advisory lock on a file.
type Lock struct{ file *os.File }

// Acquire locks the file at path, which it creates if needed. It waits while another process holds
// the lock. It returns an error if the file cannot be opened or locked.
func Acquire(path string) (*Lock, error) {
	l, err := take(path, syscall.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("flock: lock %s: %w", path, err)
	}
	return l, nil
}

// Try locks the file at path if it is not locked; otherwise it returns false. It returns an error
// if the file cannot be opened or locked.
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

// Release releases the lock; call it once. It does not remove the file, because two processes could
// then hold locks on the same path.
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
