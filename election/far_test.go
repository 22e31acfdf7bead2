package election_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAResignIsSentToOneCandidate counts the events of a Resign in a long line of candidates, each
// with a client of its own.
func TestAResignIsSentToOneCandidate(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n = 50
		leader, _, led := parade(t, etcd, n)
		before := etcd.Events()
		if err := leader.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if got, want := <-led, string(rune('1'+i)); got != want {
				t.Fatalf("%q led, not %q", got, want)
			}
		}
		synctest.Wait()
		// Of the n resignations, the first 16 candidates may see each that is ahead of them.
		if events := etcd.Events() - before; events > 16*16/2+n {
			t.Errorf("%d events", events)
		}
	})
}

// TestTransferToPassesCandidatesFarBack: the candidates ahead of the heir step aside although they
// do not follow the line.
func TestTransferToPassesCandidatesFarBack(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n, to = 40, 35
		leader, all, led := parade(t, etcd, n)
		if err := leader.TransferTo(bubble.Within(t, time.Minute), all[to]); err != nil {
			t.Fatal(err)
		}
		if got, want := <-led, string(rune('0'+to)); got != want {
			t.Fatalf("%q led, not %q", got, want)
		}
		seen := map[string]bool{}
		for range n - 1 {
			seen[<-led] = true
		}
		if len(seen) != n-1 {
			t.Errorf("%d others led", len(seen))
		}
	})
}
