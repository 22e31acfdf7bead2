package election_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }

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
