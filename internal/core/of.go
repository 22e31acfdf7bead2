// Package core is the session behind package session: lease, deadline, record, writes and holds. Recipes use it; users of
// the library see package session.
package core

import "context"

// Public is a *session.Session.
type Public interface{ Context() context.Context }

// of is set by package session, because a session shows its core to nobody outside of this module.
var of func(Public) *Session

// Register is called once, by package session.
func Register(f func(Public) *Session) { of = f }

// Of returns the core of a session. It returns nil for a nil session.
func Of(s Public) *Session { return of(s) }
