package session

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// BreakRetention is the time for which etcd keeps the record of a [Break].
const BreakRetention = core.BreakRetention

// BrokenError is in the cause of a hold that [Break] has ended, and in the error of a call that
// waited for one. The context ends before the record of the Break was read: errors.As for a
// BrokenError waits for that, at most 1 s, and is false if there is no record.
type BrokenError struct {
	Key    string // of the hold
	Fence  int64  // of the hold
	By     Info   // the session that broke it; ID names no session if it had none
	Reason string
	Time   time.Time // of the Break, by the clock of the process that broke it
}

// Error returns who broke the hold, when and why.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("%s was broken by %s at %s: %q",
		e.Key, e.By, e.Time.Format(time.RFC3339), e.Reason)
}

// Unwrap returns [ErrKeyDeleted].
func (e *BrokenError) Unwrap() error { return ErrKeyDeleted }

// brokenTarget returns a function that sets a **BrokenError, or nil for another target.
func brokenTarget(target any) (set func(core.Broken)) {
	t, ok := target.(**BrokenError)
	if !ok {
		return nil
	}
	return func(b core.Broken) {
		*t = &BrokenError{
			Key: b.Key, Fence: b.Fence, By: Info(b.By), Reason: b.Reason, Time: b.Time,
		}
	}
}

// Break removes a hold or a waiter of any process, by the key and the fence that the Inspect
// methods of the recipes return. It needs no session, and deletes only this incarnation of the key.
// The next waiter acquires the hold at once. The holder's context ends with [ErrKeyDeleted] within
// about a second, and its cause has a [BrokenError] with the reason; a holder of another library
// may not notice.
//
// etcd keeps a record of the key, the reason, the holder and the process that broke it for
// [BreakRetention], unless its database is full. The program's name stands for a session's name in
// it; Break of a recipe has the session's.
//
// Break returns [ErrNotHeld] when this incarnation was gone, and [gateway.ErrInvalid] when the
// reason is blank. After [gateway.ErrUncertain] it may be repeated.
func Break(ctx context.Context, c *gateway.Client, key string, fence int64, reason string) error {
	if c == nil {
		return core.Invalid("no client")
	}
	program := filepath.Base(os.Args[0])
	return core.ProcessBreaker(c, program, DefaultRecordPrefix).Break(ctx, key, fence, reason)
}
