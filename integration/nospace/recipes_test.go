package nospace_test

import (
	"context"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

type release func(ctx context.Context) error

type enter func(ctx context.Context, s *session.Session, name string) (release, error)

// recipe is a recipe whose members are a line of keys under one name.
type recipe struct {
	name  string
	enter enter
	next  enter // waits until the members that entered have left; nil if enter waits for that
}

func (r recipe) await(ctx context.Context, s *session.Session, name string) (release, error) {
	if r.next != nil {
		return r.next(ctx, s, name)
	}
	return r.enter(ctx, s, name)
}

var recipes = []recipe{
	{"mutex", enterMutex, nil},
	{"reader", enterReader, enterWriter},
	{"writer", enterWriter, enterReader},
	{"several locks", enterSeveral, enterMutex},
	{"election", enterElection, nil},
	{"semaphore", enterSemaphore, nil},
	{"barrier", holdUp, awaitDown},
}

func enterMutex(ctx context.Context, s *session.Session, name string) (release, error) {
	l, err := mutex.New(s, name, nil).Lock(ctx)
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

func enterReader(ctx context.Context, s *session.Session, name string) (release, error) {
	l, err := mutex.NewRWMutex(s, name, nil).RLock(ctx)
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

func enterWriter(ctx context.Context, s *session.Session, name string) (release, error) {
	l, err := mutex.NewRWMutex(s, name, nil).Lock(ctx)
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

func enterSeveral(ctx context.Context, s *session.Session, name string) (release, error) {
	l, err := mutex.LockAll(ctx, s, name, name+"-other")
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

func enterElection(ctx context.Context, s *session.Session, name string) (release, error) {
	term, err := election.New(s, name, nil).Campaign(ctx, "me")
	if err != nil {
		return nil, err
	}
	return term.Resign, nil
}

func enterSemaphore(ctx context.Context, s *session.Session, name string) (release, error) {
	p, err := semaphore.New(s, name, 2, nil).Acquire(ctx, 2)
	if err != nil {
		return nil, err
	}
	return p.Release, nil
}

func holdUp(ctx context.Context, s *session.Session, name string) (release, error) {
	h, err := barrier.New(s, name).Hold(ctx)
	if err != nil {
		return nil, err
	}
	return h.Release, nil
}

func awaitDown(ctx context.Context, s *session.Session, name string) (release, error) {
	err := barrier.New(s, name).Wait(ctx)
	return func(context.Context) error { return nil }, err
}
