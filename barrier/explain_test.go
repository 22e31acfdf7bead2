package barrier_test

import (
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestExplainOfBarriers: a barrier that is raised and held, and a latch.
func TestExplainOfBarriers(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		b, l := barrier.New(s, "up"), barrier.NewLatch(s, "ready", 3)
		if e, err := b.Explain(t.Context()); err != nil || e.String() != "free" {
			t.Errorf("down: %v, %v", e, err)
		}
		held, err := b.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Raise(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, err := b.Explain(t.Context()); err != nil || len(e.Needs) != 2 ||
			!strings.Contains(e.String(), "raised") || !strings.Contains(e.String(), held.Key()) {
			t.Errorf("up: %v, %v", e, err)
		}
		if err := l.CountDown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, err := l.Explain(t.Context()); err != nil ||
			e.String() != "the latch has to be counted down 2 times" {
			t.Errorf("latch: %v, %v", e, err)
		}
	})
}
