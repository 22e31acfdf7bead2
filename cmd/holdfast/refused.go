package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
)

// errNotInTime reports that --wait has ended before the operation was done.
var errNotInTime = errors.New("not in time")

// unavailable are the errors for which -E sets the exit status.
var unavailable = []error{
	errNotInTime, mutex.ErrLocked, semaphore.ErrFull, election.ErrTaken, queue.ErrEmpty,
	queue.ErrFull, once.ErrRunning,
}

// mustWait reports whether an error means that the operation has to wait for others, or has waited
// in vain.
func mustWait(err error) bool {
	return slices.ContainsFunc(unavailable, func(e error) bool { return errors.Is(err, e) })
}

// refused replaces the exit status of an operation that has waited in vain by the value of -E.
func (f *waitFlags) refused(err error) error {
	if mustWait(err) {
		return &exitError{f.code, err}
	}
	return err
}

// refusedError adds the holders to the error of an acquisition.
type refusedError struct {
	err     error
	holders []map[string]any // the holders as JSON
	text    []string         // the holders as text
}

func (e *refusedError) Error() string { return e.err.Error() + ": " + strings.Join(e.text, ", ") }
func (e *refusedError) Unwrap() error { return e.err }

const (
	// holdersTimeout bounds the read of the holders, because the answer is known without them.
	holdersTimeout = time.Second
	// maxHolders is how many holders are printed for people.
	maxHolders = 3
)

// refusedBy is [waitFlags.refused] with the holders of the names.
func (a *app) refusedBy(ctx context.Context, f *waitFlags, names []string, err error) error {
	if !mustWait(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdersTimeout)
	defer cancel()
	out := &refusedError{err: err}
	for _, name := range names {
		p, readErr := inspect.Front(ctx, a.client, name)
		if readErr != nil {
			// The user may not read the name, or etcd does not answer. The error is complete
			// without holders.
			break
		}
		for i := range p.Members {
			m := &p.Members[i]
			if !m.Holds || m.Lease == a.session.Lease() {
				continue
			}
			object := memberObject(p, m)
			object["name"] = name
			out.holders = append(out.holders, object)
			text := "held by " + clean(owner(m))
			if m.Session != nil {
				text += " since " + since(m)
			}
			out.text = append(out.text, text)
		}
	}
	n := len(out.text)
	if n == 0 {
		return f.refused(err)
	}
	if n > maxHolders {
		out.text = append(out.text[:maxHolders], fmt.Sprintf("and %d more", n-maxHolders))
	}
	return &exitError{f.code, out}
}
