package limit_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/exampletest"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(exampletest.On(m, &client, &s)) }

const name = "api"

// perSecond is a rate of n in a second.
func perSecond(n, burst int64) limit.Rate {
	return limit.Rate{Tokens: n, Per: time.Second, Burst: burst}
}

// allowed takes single tokens until none is available, and returns their number.
func allowed(t *testing.T, l *limit.Limiter) (n int) {
	t.Helper()
	for {
		ok, err := l.Allow(bubble.Within(t, time.Minute), 1)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return n
		}
		n++
	}
}

func want(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// shortSession returns a session with a client of its own and a time to live of 5 s.
func shortSession(t *testing.T, etcd *fakeetcd.Server) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), &session.Options{TTL: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Orphan)
	return s
}
