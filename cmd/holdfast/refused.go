package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
)

// refusedError adds the holders to the error of an acquisition.
type refusedError struct {
	err     error
	holders []map[string]any // the holders as JSON
	text    []string         // the holders as text
}

func (e *refusedError) Error() string { return e.err.Error() + ": " + strings.Join(e.text, ", ") }
func (e *refusedError) Unwrap() error { return e.err }

const (
	// lookTime bounds the look for holders, because the answer is known without it.
	lookTime = time.Second
	// maxShown is how many holders are printed for people.
	maxShown = 3
)

// refused replaces the exit status of a failed acquisition by the value of -E, and adds the
// holders. taken is the error of a try that would have to wait.
func (a *app) refused(ctx context.Context, f *waitFlags, names []string, err, taken error) error {
	if !errors.Is(err, taken) && !errors.Is(err, errNotInTime) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	out := &refusedError{err: err}
	for _, name := range names {
		p, look := inspect.Front(ctx, a.client, name)
		if look != nil {
			// The user may not read the name, or etcd does not answer. The error is complete
			// without holders.
			break
		}
		for i := range p.Members {
			m := &p.Members[i]
			if !m.Holds || m.Lease == a.session.Lease() {
				continue
			}
			one := member(p, m)
			one["name"] = name
			out.holders = append(out.holders, one)
			text := "held by " + clean(who(m))
			if m.Session != nil {
				text += " since " + since(m)
			}
			out.text = append(out.text, text)
		}
	}
	switch n := len(out.text); {
	case n == 0:
		return f.refused(err, taken)
	case n > maxShown:
		out.text = append(out.text[:maxShown], fmt.Sprintf("and %d more", n-maxShown))
	}
	return &exitError{f.code, out}
}
