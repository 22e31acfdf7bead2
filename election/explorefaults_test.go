package election_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// disturb delays requests, loses answers, denies deletions, and applies transactions long after
// their callers have left, until heal is called. heal also ends all other faults.
func (x *exploration) disturb(random *rand.Rand) (heal func()) {
	var late []*fakeetcd.Call
	applyOne := func() {
		i := random.IntN(len(late))
		late[i].Apply()
		late = slices.Delete(late, i, i+1)
	}
	x.etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if strings.HasPrefix(c.Path, "/lease") {
			return c.Apply()
		}
		if random.IntN(3) == 0 {
			c.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
		}
		if len(late) > 0 && random.IntN(8) == 0 {
			applyOne()
		}
		switch dice := random.IntN(200); {
		case dice < 6 && c.Path == "/kv/txn":
			late = append(late, c)
			return fakeetcd.Lost
		case dice < 12:
			c.Apply()
			return fakeetcd.Lost
		case dice < 14:
			return c.Silence()
		case dice < 20 && strings.Contains(string(c.Body), "request_delete"):
			return fakeetcd.Denied()
		}
		return c.Apply()
	})
	return func() {
		x.etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			for len(late) > 0 {
				applyOne()
			}
			return c.Apply()
		})
		x.etcd.Resume()
		x.etcd.Mute(false)
		x.etcd.BreakWatches(false)
		x.etcd.Delete(stranger)
	}
}

// stranger is the key of a candidate of another library, which does not let others pass.
const stranger = "a/stranger"

// step is one random change of the line, or a fault.
func (x *exploration) step() {
	switch c := x.pick(); x.random.IntN(24) {
	case 0:
		c.cancel()
	case 1:
		x.etcd.Revoke(c.s.Lease())
	case 2:
		if line := x.line(); len(line) > 0 {
			x.etcd.Delete(line[x.random.IntN(len(line))].Key)
		}
	case 3, 4:
		x.orphan(c)
	case 5:
		x.etcd.BreakWatches(x.random.IntN(2) == 0)
	case 6:
		x.etcd.BreakWatches(false)
	case 7, 8:
		x.etcd.Compact()
	case 9:
		x.etcd.Stop()
		time.Sleep(x.upTo(3 * time.Second))
		x.etcd.Resume()
	case 10:
		x.etcd.Mute(true)
		time.Sleep(x.upTo(3 * time.Second))
		x.etcd.Mute(false)
	case 11:
		x.etcd.Put(stranger, "stranger")
	case 12, 13:
		x.etcd.Delete(stranger)
	case 14:
		time.Sleep(x.upTo(10 * time.Second))
	case 15:
		if leader := x.leader(); leader != nil {
			value := fmt.Sprint(leader.name, "!", x.random.IntN(100))
			_ = leader.term.Proclaim(bubble.Within(x.t, time.Second), value)
		}
	default:
		if leader := x.leader(); leader != nil {
			x.end(leader)
		}
	}
	if x.random.IntN(2) == 0 {
		synctest.Wait()
	}
	time.Sleep(x.upTo(time.Second))
}

func (x *exploration) upTo(d time.Duration) time.Duration {
	return time.Duration(x.random.Int64N(int64(d)))
}

// pick returns a candidate, half of the time one of the first in the line.
func (x *exploration) pick() *candidate {
	if line := x.line(); len(line) > 0 && x.random.IntN(2) == 0 {
		kv := line[x.random.IntN(min(len(line), 6))]
		name, _, _ := strings.Cut(string(kv.Value), "!")
		if c := x.byName[name]; c != nil {
			return c
		}
	}
	return x.all[x.random.IntN(len(x.all))]
}

// leader returns the leader, or nil if there is none.
func (x *exploration) leader() *candidate {
	for _, c := range x.all {
		if c.leads() {
			return c
		}
	}
	return nil
}

// end ends a term, sometimes for the sake of a candidate that waits.
func (x *exploration) end(leader *candidate) {
	if line := x.line(); len(line) > 1 && x.random.IntN(6) == 0 {
		heir := line[1+x.random.IntN(len(line)-1)]
		to := election.Candidate{Key: heir.Key, Fence: heir.CreateRevision}
		if leader.term.TransferTo(bubble.Within(x.t, 2*time.Second), to) == nil {
			return
		}
	}
	ctx := bubble.Within(x.t, 5*time.Second)
	for errors.Is(leader.term.Resign(ctx), gateway.ErrPermissionDenied) {
		time.Sleep(x.upTo(500 * time.Millisecond))
	} // the session continues one that was cut off
}

// orphan ends a process without its candidates. Half of the time another process continues the
// oldest of them.
func (x *exploration) orphan(c *candidate) {
	c.s.Orphan()
	if x.random.IntN(2) == 0 {
		return
	}
	time.Sleep(x.upTo(2 * time.Second))
	next := &candidate{name: c.name, priority: c.priority, client: x.etcd.Client(x.t)}
	s, err := session.Resume(bubble.Within(x.t, 5*time.Second), next.client, c.s.Lease(), nil)
	if err != nil {
		return
	}
	x.closeLater(s)
	next.s = s
	next.e = election.New(s, "a", &election.Options{Priority: c.priority})
	x.enter(next, next.resume)
}

// resume repeats Resume as long as it may have left its candidates in the line. A process that does
// not repeat it has to end its session.
func (c *candidate) resume(ctx context.Context) (*election.Term, error) {
	for {
		term, err := c.e.Resume(ctx)
		switch {
		case err == nil || errors.Is(err, session.ErrNotHeld) || c.s.Err() != nil:
			return term, err
		case ctx.Err() != nil:
			c.s.Orphan()
			return nil, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
