// Package core implements package session: lease, deadline, record, writes and holds. Recipes use
// it. Users of the library use package session.
package core

import "context"

// Public is a *session.Session.
type Public interface{ Context() context.Context }

// of is set by package session, so that the core of a session is accessible only within this
// module.
var of func(Public) *Session

// Register sets the function behind [Of]. Package session calls it once.
func Register(f func(Public) *Session) { of = f }

// Of returns the core of a session. It returns nil for a nil session.
func Of(s Public) *Session { return of(s) }
