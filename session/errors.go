package session

import "github.com/holdfast-go/holdfast/internal/core"

// Sentinels for [errors.Is].
var (
	// ErrLost: the hold is gone, or may be gone by now. It wraps one of the causes below.
	ErrLost = core.ErrLost

	// ErrExpired: no renewal was acknowledged in time. The lease may live on at the server for a moment.
	ErrExpired = core.ErrExpired
	// ErrRevoked: the server no longer has the lease, or the session's record, or has the record
	// without the lease.
	ErrRevoked = core.ErrRevoked
	// ErrKeyDeleted: somebody deleted the key of this hold; the session lives, unless it was its lease that was revoked, and
	// word of that comes only now.
	ErrKeyDeleted = core.ErrKeyDeleted
	// ErrResumedElsewhere: another process has resumed the session, see [Resume].
	ErrResumedElsewhere = core.ErrResumedElsewhere
	// ErrClosed: the session was closed, or orphaned.
	ErrClosed = core.ErrClosed

	// ErrReleased is the cause of a hold's context after it was given back.
	ErrReleased = core.ErrReleased
	// ErrNotHeld: there was nothing to give back, the hold had ended before.
	ErrNotHeld = core.ErrNotHeld

	// ErrCorrupt: a recipe read a value that this library does not write from one of its own keys, which the error names. The
	// key stays as it is.
	ErrCorrupt = core.ErrCorrupt
)
