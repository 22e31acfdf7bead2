package election_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/election"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/session"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		c := newClient(t, cfg)
		a, b := newSession(t, c, &session.Options{Name: "a"}),
			newSession(t, newClient(t, cfg), &session.Options{Name: "b"})
		for name, test := range map[string]func(*testing.T, *gateway.Client, *session.Session,
			*session.Session){
			"One leader": oneLeader,
			"Order":      order,
			"Cancel":     cancelCampaign,
			"Candidates": candidates,
			"Proclaim":   proclaim,
			"Observe":    observed,
			"Guard":      guard,
			"Removed":    removed,
			"Revoked":    revoked,
			"Delay":      delay,
			"Too late":   resignTooLate,
			"Run":        run,
			"Break":      broken,
			"Overdue":    overdue,
			"Step down":  transferTo,
			"Try":        tryCampaign,
			"Priorities": priorities,
		} {
			t.Run(name, func(t *testing.T) { test(t, c, a, b) })
		}
	})
}

func oneLeader(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	var inside int // not synchronized, so that the race detector also checks it
	var fences []int64
	var all sync.WaitGroup
	for i, s := range []*session.Session{a, b, a, b} {
		all.Go(func() {
			for j := range 20 {
				value := fmt.Sprint(i, j)
				term := campaign(t, s, name, value)
				if inside++; inside != 1 {
					t.Errorf("%d lead", inside)
				}
				leader, err := election.New(b, name, nil).Leader(within(t, 20*time.Second))
				if err != nil || leader.Value != value || leader.Fence != term.Fence() ||
					leader.Key != term.Key() || leader.Lease != s.Lease() {
					t.Errorf("Leader = %+v, %v", leader, err)
				}
				fences = append(fences, term.Fence())
				inside--
				resign(t, term)
			}
		})
	}
	all.Wait()
	if len(fences) != 80 || !slices.IsSorted(fences) || len(slices.Compact(fences)) != 80 {
		t.Errorf("fences: %v", fences)
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// order: candidates lead in the order of their keys.
func order(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	term := campaign(t, a, name, "0")
	var waiting []*campaigning
	for i := 1; i <= 8; i++ {
		waiting = append(waiting, goCampaign(t, t.Context(), []*session.Session{a, b}[i%2], name,
			strconv.Itoa(i), i+1))
	}
	for i, w := range waiting {
		select {
		case <-w.done:
			t.Fatalf("%d leads too early: %v", i+1, w.err)
		default:
		}
		resign(t, term)
		term = w.wait(t)
	}
	resign(t, term)
}

func cancelCampaign(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	term := campaign(t, a, name, "one")
	reason := errors.New("changed my mind")
	for _, s := range []*session.Session{a, b} {
		ctx, cancel := context.WithCancelCause(t.Context())
		w := goCampaign(t, ctx, s, name, "two", 2)
		cancel(reason)
		if <-w.done; !errors.Is(w.err, context.Canceled) || !errors.Is(w.err, reason) {
			t.Errorf("Campaign with a cancelled context: %v", w.err)
		}
		eventually(t, "leave", func() bool { return len(members(t, c, name)) == 1 })
	}
	resign(t, term)
	if _, err := election.New(b, name, nil).Leader(within(t, 20*time.Second)); !errors.Is(err,
		election.ErrNoLeader) {
		t.Errorf("Leader = %v", err)
	}
}

func candidates(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	term := campaign(t, a, name, "one")
	w := goCampaign(t, t.Context(), b, name, "two", 2)
	all, err := election.New(a, name, nil).Candidates(within(t, 20*time.Second))
	if err != nil || len(all) != 2 || all[0].Value != "one" || all[0].Session == nil ||
		all[0].Session.Name != "a" || all[0].Fence != term.Fence() ||
		all[1].Value != "two" || all[1].Session == nil || all[1].Session.Name != "b" ||
		all[1].Lease != b.Lease() {
		t.Errorf("Candidates = %+v, %v", all, err)
	}
	resign(t, term)
	resign(t, w.wait(t))
}

func proclaim(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	term := campaign(t, a, name, "one")
	w := goCampaign(t, ctx, b, name, "two", 2)
	for _, value := range []string{"", "zwei\x00\xff", "two"} {
		if err := term.Proclaim(ctx, value); err != nil {
			t.Fatal(err)
		}
		if leader, err := election.New(b, name, nil).Leader(ctx); err != nil ||
			leader.Value != value || leader.Fence != term.Fence() {
			t.Errorf("Leader = %+v, %v", leader, err)
		}
	}
	select {
	case <-w.done:
		t.Error("Proclaim has cost the leadership")
	default:
	}
	resign(t, term)
	next := w.wait(t)
	if err := term.Proclaim(ctx, "ghost"); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Proclaim after the term = %v", err)
	}
	if _, err := c.Delete(ctx, next.Key()); err != nil {
		t.Fatal(err)
	}
	if err := next.Proclaim(ctx, "ghost"); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Proclaim of one that was removed = %v", err)
	}
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	resign(t, campaign(t, a, name, "again"))
}

func observed(t *testing.T, _ *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	o := observe(t, b, name)
	check := func(last string, want ...string) {
		t.Helper()
		if got := o.until(t, last); !slices.Equal(got, want) {
			t.Errorf("saw %q, want %q", got, want)
		}
	}
	check("-", "-")
	term := campaign(t, a, name, "one")
	check("one", "one")
	if err := term.Proclaim(within(t, 20*time.Second), "two"); err != nil {
		t.Fatal(err)
	}
	check("two", "two")
	w := goCampaign(t, t.Context(), b, name, "three", 2)
	resign(t, term)
	check("three", "three")
	resign(t, w.wait(t))
	check("-", "-")
}

// guard: a write under the guard is applied during the term, and not after it.
func guard(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	term := campaign(t, a, name, "one")
	write := gateway.Txn{Then: []gateway.Op{gateway.OpPut(name+".value", []byte("1"))}}
	if resp, err := term.Txn(ctx, write); err != nil || !resp.Succeeded {
		t.Fatal(resp, err)
	}
	guarded := gateway.Txn{If: []gateway.Cmp{term.Guard()}, Then: write.Then}
	if err := term.Proclaim(ctx, "two"); err != nil { // the guard does not compare the value
		t.Fatal(err)
	}
	if resp, err := c.Txn(ctx, guarded); err != nil || !resp.Succeeded {
		t.Fatal(resp, err)
	}
	resign(t, term)
	next := campaign(t, b, name, "three")
	if resp, err := c.Txn(ctx, guarded); err != nil || resp.Succeeded {
		t.Errorf("a write under an old guard: %v, %v", resp, err)
	}
	resign(t, next)
}

// removed: the deletion of its key ends a term with ErrKeyDeleted, and a campaign at once.
func removed(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	term := campaign(t, a, name, "one")
	w := goCampaign(t, ctx, b, name, "two", 2)
	for _, key := range members(t, c, name) {
		if key == term.Key() {
			continue
		}
		if _, err := c.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if <-w.done; !errors.Is(w.err, session.ErrKeyDeleted) || ctx.Err() != nil {
		t.Errorf("Campaign of a removed candidate: %v", w.err)
	}
	if _, err := c.Delete(ctx, term.Key()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-term.Context().Done():
	case <-ctx.Done():
		t.Fatal("the leader did not notice")
	}
	if err := term.Err(); !errors.Is(err, session.ErrLost) ||
		!errors.Is(err, session.ErrKeyDeleted) {
		t.Errorf("cause: %v", err)
	}
	if err := term.Resign(ctx); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Resign after it: %v", err)
	}
	resign(t, campaign(t, a, name, "three"))
}

// revoked: the terms and campaigns of revoked leases end at once, and do not lead later.
func revoked(t *testing.T, c *gateway.Client, a, b *session.Session) {
	name := fresh(t)
	ctx := within(t, 20*time.Second)
	leader, candidate := newSession(t, b.Client(), nil), newSession(t, b.Client(), nil)
	term := campaign(t, leader, name, "one")
	w := goCampaign(t, ctx, candidate, name, "two", 2)
	third := goCampaign(t, ctx, a, name, "three", 3)
	if err := c.Revoke(ctx, candidate.Lease()); err != nil {
		t.Fatal(err)
	}
	if <-w.done; !errors.Is(w.err, session.ErrLost) || !errors.Is(w.err, session.ErrRevoked) {
		t.Errorf("Campaign of a candidate without a lease: %v", w.err)
	}
	if err := c.Revoke(ctx, leader.Lease()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-term.Context().Done():
	case <-ctx.Done():
		t.Fatal("the leader did not notice")
	}
	if err := term.Err(); !errors.Is(err, session.ErrLost) || !errors.Is(err, session.ErrRevoked) {
		t.Errorf("cause: %v", err)
	}
	if err := term.Proclaim(ctx, "ghost"); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Proclaim: %v", err)
	}
	if _, err := election.New(candidate, name, nil).Campaign(ctx, "ghost"); !errors.Is(err,
		session.ErrRevoked) {
		t.Errorf("another Campaign of the candidate: %v", err)
	}
	resign(t, third.wait(t))
	if left := members(t, c, name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
