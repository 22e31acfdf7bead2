package election_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAnHeirThatIsNoFenceMovesNobodyAside: an heir that is no candidate's fence is none. Nobody
// steps aside for it, candidates lead in their order, and a TransferTo replaces it. All this costs
// a few requests.
func TestAnHeirThatIsNoFenceMovesNobodyAside(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", " ", "garbage", "0", "-7", "1", "7.5", `{"fence":7}`, "9223372036854775807",
		"99999999999999999999", "\xff\x00",
	} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			leader := campaign(t, bubble.Session(t, etcd), "1")
			etcd.Put("a//heir", value)
			calls := bubble.Count(etcd)
			terms := make(chan *election.Term)
			for _, v := range []string{"2", "3"} {
				s := bubble.Session(t, etcd)
				go func() {
					term, err := election.New(s, "a", nil).Campaign(bubble.Within(t, time.Minute),
						v)
					if err != nil {
						t.Error(err)
					}
					terms <- term
				}()
				synctest.Wait()
			}
			time.Sleep(10 * time.Second)
			if n := calls.Load(); n > 20 {
				t.Errorf("%d requests with an heir of %q", n, value)
			}
			candidates, err := election.New(bubble.Session(t, etcd), "a",
				nil).Candidates(t.Context())
			if err != nil || len(candidates) != 3 || candidates[1].Value != "2" ||
				candidates[2].Value != "3" {
				t.Fatalf("with an heir of %q: %+v, %v", value, candidates, err)
			}
			if err := leader.TransferTo(bubble.Within(t, time.Minute), candidates[2]); err != nil {
				t.Fatalf("TransferTo with an heir of %q: %v", value, err)
			}
			for _, want := range []string{"3", "2"} {
				if term := <-terms; term == nil || shown(etcd, term) != want {
					t.Fatalf("with an heir of %q not %s leads", value, want)
				} else {
					resign(t, term)
				}
			}
			if _, ok := etcd.Get("a//heir"); ok {
				t.Error("the heir is still there")
			}
			if n := calls.Load(); n > 50 {
				t.Errorf("%d requests with an heir of %q", n, value)
			}
		})
	}
}
