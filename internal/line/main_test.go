package line_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns the line "a" with a session and a client of its own.
func open(t *testing.T, etcd *fakeetcd.Server) *line.Line {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // some tests leave the server unable to answer
	})
	synctest.Wait()
	return &line.Line{Session: core.Of(s), Name: "a", Rule: line.Exclusive}
}

func delayed(l *line.Line, d time.Duration) *line.Line {
	c := *l
	c.Delay = d
	return &c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func enter(t *testing.T, l *line.Line) line.Hold {
	t.Helper()
	h, err := l.Enter(t.Context(), line.Join{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func release(t *testing.T, h line.Hold) {
	t.Helper()
	if err := h.Grip.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// entering is an Enter that is under way.
type entering struct {
	hold line.Hold
	err  error
	done chan struct{}
}

func goEnter(ctx context.Context, l *line.Line) *entering { return goEnterAs(ctx, l, line.Join{}) }

func goEnterAs(ctx context.Context, l *line.Line, j line.Join) *entering {
	e := &entering{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.hold, e.err = l.Enter(ctx, j)
	}()
	synctest.Wait()
	return e
}

func (e *entering) waits() bool {
	synctest.Wait()
	select {
	case <-e.done:
		return false
	default:
		return true
	}
}
