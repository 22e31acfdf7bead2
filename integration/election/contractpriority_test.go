package election_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// priorities: the candidate with the highest priority leads next, and of two equal ones the first.
func priorities(t *testing.T, c *gateway.Client, a, b *session.Session) {
	ctx, name := within(t, time.Minute), fresh(t)
	leader := campaign(t, a, name, "first")
	led := make(chan *election.Term)
	for i, of := range []struct {
		s        *session.Session
		priority int
	}{{a, 0}, {b, 5}, {a, 7}, {b, 7}} {
		go func() {
			opts := &election.Options{Priority: of.priority}
			term, err := election.New(of.s, name, opts).Campaign(ctx, "a candidate")
			if err != nil {
				t.Error(err)
			}
			led <- term
		}()
		eventually(t, "a candidate", func() bool {
			all, err := election.New(a, name, nil).Candidates(ctx)
			return err == nil && len(all) == i+2
		})
	}
	eventually(t, "the order", func() bool { // higher priorities move ahead
		all, err := election.New(a, name, nil).Candidates(ctx)
		return err == nil && len(all) == 5 && all[1].Priority == 7
	})
	for _, want := range []struct {
		s        *session.Session
		priority int
	}{{a, 7}, {b, 7}, {b, 5}, {a, 0}} {
		resign(t, leader)
		leader = <-led
		if leader == nil {
			t.FailNow()
		}
		all, err := election.New(a, name, nil).Candidates(ctx)
		if err != nil || all[0].Key != leader.Key() || all[0].Priority != want.priority ||
			all[0].Lease != want.s.Lease() {
			t.Errorf("%+v leads, %v; want priority %d", all, err, want.priority)
		}
	}
	resign(t, leader)
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
