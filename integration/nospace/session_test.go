package nospace_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestASessionIsRenewedInAFullDatabase checks that a session is renewed while the database is full,
// and that its Close releases its holds. New sessions and new holds are refused.
func TestASessionIsRenewedInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		const ttl = 3 * time.Second
		held := recipetest.NewSession(t, s.client,
			&session.Options{TTL: ttl, AllowShortTTL: true})
		name := fresh(t)
		l, err := mutex.New(held, name, nil).Lock(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		other := s.session(t)
		s.fill(t)
		full := time.Now()
		_, err = session.New(within(t, patience), s.client, nil)
		if !errors.Is(err, gateway.ErrNoSpace) {
			t.Errorf("New: %v", err)
		}
		_, err = mutex.New(other, fresh(t), nil).Lock(within(t, patience))
		if !errors.Is(err, gateway.ErrNoSpace) {
			t.Errorf("Lock: %v", err)
		}
		eventually(t, "a renewal", func() bool { return held.Deadline().After(full.Add(2 * ttl)) })
		if err := l.Err(); err != nil {
			t.Errorf("the hold: %v", err)
		}
		if err := held.Close(within(t, patience)); err != nil {
			t.Errorf("Close: %v", err)
		}
		if keys := members(t, s.client, name); len(keys) > 0 {
			t.Errorf("%v is left", keys)
		}
	})
}
