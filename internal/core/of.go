// Package core implements package session: lease, deadline, record, writes and holds. Recipes use
// it. Users of the library use package session.
package core

import "context"

// Public is a *session.Session.
type Public interface{ Context() context.Context }

// of is set by package session, so that the core of a session is accessible only within this
// module.
var of func(Public) *Session

// brokenTarget is set by package session. It returns a function that sets the target of errors.As
// to the public form of a [Broken], or nil if the target is of another type.
var brokenTarget func(target any) (set func(Broken))

// Register sets the function behind [Of], and brokenTarget. Package session calls it once.
func Register(f func(Public) *Session, broken func(target any) (set func(Broken))) {
	of, brokenTarget = f, broken
}

// Of returns the core of a session. It returns nil for a nil session.
func Of(s Public) *Session { return of(s) }

// Local returns the value that a recipe keeps with the session under a key, which only that recipe
// uses. If there is none, it is the one that make returns. Two first calls may both call make.
func Local(s *Session, key any, make func() any) any {
	if v, ok := s.locals.Load(key); ok {
		return v
	}
	v, _ := s.locals.LoadOrStore(key, make())
	return v
}
