package election_test

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAResignIsSentToFewCandidates counts the events of a Resign in a long line of candidates, each
// with a client of its own.
func TestAResignIsSentToFewCandidates(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n = 80
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
		// The first 16 candidates see each other's terms. The end of each other term is sent to the
		// next candidate alone, and the terms are too short for a note.
		if events := etcd.Events() - before; events > 16*16+n {
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

// TestTransferToPassesACandidateThatReads: the leader names its heir between two reads of a
// candidate far back, which steps aside.
func TestTransferToPassesACandidateThatReads(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n, reader, to = 40, 30, 35
		leader, all, led := parade(t, etcd, n)
		reads := fmt.Sprintf(`"max_create_revision":"%d"`, all[reader].Fence)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" && bytes.Contains(c.Body, []byte(reads)) {
				etcd.Put("a//heir", strconv.FormatInt(all[to].Fence, 10))
				etcd.Script(nil)
			}
			return c.Apply()
		})
		etcd.Delete(all[reader-1].Key)
		<-led // its error
		if err := leader.TransferTo(bubble.Within(t, time.Minute), all[to]); err != nil {
			t.Fatal(err)
		}
		if got, want := <-led, string(rune('0'+to)); got != want {
			t.Errorf("%q led, not %q", got, want)
		}
		for range n - 2 {
			<-led
		}
	})
}

// TestAPriorityLeadsALongLine: candidates that do not follow the line let one with a higher
// priority pass, while another leads and when their turn comes.
func TestAPriorityLeadsALongLine(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		const n = 40
		leader, _, led := parade(t, etcd, n)
		first := election.New(
			bubble.Session(t, etcd), "a", &election.Options{Priority: 5})
		second := election.New(
			bubble.Session(t, etcd), "a", &election.Options{Priority: 3})
		for name, e := range map[string]*election.Election{"first": first, "second": second} {
			go func() {
				term, err := e.Campaign(t.Context(), name)
				if err != nil {
					led <- err.Error()
					return
				}
				led <- name
				if err := term.Resign(t.Context()); err != nil {
					led <- err.Error()
				}
			}()
		}
		synctest.Wait()
		if err := leader.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"first", "second"} {
			if got := <-led; got != want {
				t.Errorf("%q led, not %q", got, want)
			}
		}
		seen := map[string]bool{}
		for range n { // those that have let others pass may have passed each other
			seen[<-led] = true
		}
		if len(seen) != n {
			t.Errorf("%d of %d others led", len(seen), n)
		}
	})
}
