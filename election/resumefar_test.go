package election_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestAResumedLeaderOfALongLineIsNoted: the candidate behind a resumed one learns that it is the
// next, so that one with a priority that joins during the term is the next at its end.
func TestAResumedLeaderOfALongLineIsNoted(t *testing.T) {
	t.Parallel()
	for name, resumeFirst := range map[string]bool{"a candidacy": true, "a term": false} {
		t.Run(name, func(t *testing.T) {
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				first := campaign(t, bubble.Session(t, etcd), "first")
				var sessions []*session.Session
				for range 40 {
					s := bubble.Session(t, etcd)
					sessions = append(sessions, s)
					goCampaign(t, s, "x")
				}
				const far = 30
				old := sessions[far]
				for _, s := range sessions[:far] {
					etcd.Delete("a/" + s.Lease().String())
				}
				synctest.Wait()
				var resumed *waiting
				if resumeFirst {
					old.Orphan()
					resumed = goResume(t, again(t, etcd, old))
					resign(t, first)
				} else {
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						return fakeetcd.Lost // the earlier life cannot note its term
					})
					etcd.Delete(first.Key())
					synctest.Wait()
					old.Orphan()
					synctest.Wait()
					etcd.Script(nil)
					resumed = goResume(t, again(t, etcd, old))
				}
				<-resumed.done
				if resumed.err != nil {
					t.Fatal(resumed.err)
				}
				led, next := make(chan string, 1), make(chan bool, 1)
				enter(t, bubble.Session(t, etcd), "high", 5, led, next)
				time.Sleep(time.Minute)
				all, err := election.New(bubble.Session(t, etcd), "a", nil).Candidates(t.Context())
				if err != nil || len(all) != 11 || all[1].Priority != 5 {
					t.Errorf("%d candidates, the next: %+v, %v", len(all), all[1], err)
				}
			})
		})
	}
}
