package session

import "github.com/holdfast-go/holdfast/internal/core"

// Sentinels for [errors.Is].
var (
	// ErrLost: the hold has ended, or may have ended by now. It wraps one of the causes below.
	ErrLost = core.ErrLost

	// ErrExpired: no renewal was acknowledged in time. The lease may exist at the server for a
	// moment longer.
	ErrExpired = core.ErrExpired
	// ErrRevoked: the server no longer has the lease or the session's record, or has the record
	// without the lease.
	ErrRevoked = core.ErrRevoked
	// ErrKeyDeleted: another client deleted the key of this hold. The session usually lives; it may
	// also have lost its lease and not been notified of that yet.
	ErrKeyDeleted = core.ErrKeyDeleted
	// ErrOverdue: the hold has lasted for longer than its MaxHold, without Progress. Its key is
	// deleted 1 s later, or when it is released. The session lives.
	ErrOverdue = core.ErrOverdue
	// ErrResumedElsewhere: another process has resumed the session, see [Resume].
	ErrResumedElsewhere = core.ErrResumedElsewhere
	// ErrClosed: the session was closed, or orphaned.
	ErrClosed = core.ErrClosed

	// ErrReleased is the cause of a hold's context after the hold was released.
	ErrReleased = core.ErrReleased
	// ErrNotHeld: there was nothing to release, because the hold had ended before.
	ErrNotHeld = core.ErrNotHeld

	// ErrCorrupt: a recipe read, from one of its own keys, a value that this library does not
	// write. The error names the key, which stays unchanged.
	ErrCorrupt = core.ErrCorrupt
)
