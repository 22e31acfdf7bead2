package election_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }

// open returns a session with a client of its own. The session is closed at the end of the test.
func open(t *testing.T, etcd *fakeetcd.Server) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), &session.Options{Name: "me"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // in some tests the server no longer answers
	})
	synctest.Wait()
	return s
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func campaign(t *testing.T, s *session.Session, value string) *election.Term {
	t.Helper()
	term, err := election.New(s, "a", nil).Campaign(t.Context(), value)
	if err != nil {
		t.Fatal(err)
	}
	return term
}

func resign(t *testing.T, term *election.Term) {
	t.Helper()
	if err := term.Resign(t.Context()); err != nil {
		t.Error(err)
	}
}

// shown returns the value of the term's key.
func shown(etcd *fakeetcd.Server, term *election.Term) string {
	kv, _ := etcd.Get(term.Key())
	return string(kv.Value)
}
