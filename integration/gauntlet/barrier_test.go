package gauntlet_test

import (
	"errors"
	"testing"
	"time"

	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/session"
)

func brokenWatchPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	must(t, recipe.NewBarrier(etcd, name).Hold())
	waiting := begin(recipe.NewBarrier(p.Client, name).Wait)
	p.waits(t)
	compactAndReset(t, p.link)
	err := waiting.end(t)
	there := exists(t, name)
	return saw("Wait: %v; barrier up: %v", err, there), err == nil && there
}

func brokenWatch(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	raised, err := barrier.New(plain(t), name).Hold(soon(t))
	must(t, err)
	waiting := begin(func() error { return barrier.New(s, name).Wait(soon(t)) })
	if !waiting.stuck(200 * time.Millisecond) {
		t.Errorf("Wait = %v", waiting.err)
	}
	compactAndReset(t, link)
	if !waiting.stuck(500 * time.Millisecond) {
		t.Errorf("Wait = %v, with the barrier up", waiting.err)
	}
	must(t, raised.Release(soon(t)))
	if err := waiting.end(t); err != nil {
		t.Errorf("Wait = %v", err)
	}
	return "Wait returns when it is down"
}

func brokenEnterPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	entering := begin(recipe.NewDoubleBarrier(p.session(t), name, 2).Enter)
	p.waits(t)
	compactAndReset(t, p.link)
	err := entering.end(t)
	n := len(under(t, name+"/waiters"))
	return saw("Enter: %v; %d of 2 are there", err, n), err == nil && n == 1
}

func brokenEnter(t *testing.T) string {
	link, name := newLink(t), fresh(t)
	s := behind(t, link.URL(), nil)
	entering := begin(func() error {
		_, err := barrier.NewDouble(s, name, 2).Enter(soon(t))
		return err
	})
	eventually(t, "join", func() bool { return len(lineOf(t, name)) == 1 })
	compactAndReset(t, link)
	if !entering.stuck(500 * time.Millisecond) {
		t.Errorf("Enter = %v, alone", entering.err)
	}
	_, err := barrier.NewDouble(plain(t), name, 2).Enter(soon(t))
	must(t, err)
	if err := entering.end(t); err != nil {
		t.Errorf("Enter = %v", err)
	}
	return "Enter returns when both are there"
}

// outlivesHolderPeer: a key without a lease stays after its holder has ended.
func outlivesHolderPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	must(t, recipe.NewBarrier(p.Client, name).Hold())
	must(t, p.Close())
	resp, err := etcd.Get(soon(t), name)
	must(t, err)
	if resp.Count == 0 {
		return "the key is gone", false
	}
	return saw("the lease of its key: %d", resp.Kvs[0].Lease), resp.Kvs[0].Lease == 0
}

func outlivesHolder(t *testing.T) string {
	name := fresh(t)
	holder := behind(t, cluster.Endpoints()[0], &session.Options{
		TTL:           2 * time.Second,
		AllowShortTTL: true,
	})
	_, err := barrier.New(holder, name).Hold(soon(t))
	must(t, err)
	waiting := begin(func() error { return barrier.New(plain(t), name).Wait(soon(t)) })
	if !waiting.stuck(200 * time.Millisecond) {
		t.Errorf("Wait = %v", waiting.err)
	}
	holder.Orphan() // its lease is neither renewed nor revoked
	if err := waiting.end(t); err != nil {
		t.Errorf("Wait = %v", err)
	}
	return "it falls when the holder's lease ends"
}

// roundsMixPeer: one of two members leaves, and waits for the other. Then a member enters.
func roundsMixPeer(t *testing.T) (string, bool) {
	one, two, name := newPeer(t).session(t), newPeer(t).session(t), fresh(t)
	first, second := recipe.NewDoubleBarrier(one, name, 2), recipe.NewDoubleBarrier(two, name, 2)
	entering := begin(first.Enter)
	eventually(t, "the first", count(t, name+"/waiters", 1))
	must(t, second.Enter())
	must(t, entering.end(t))
	leaving := begin(second.Leave)
	eventually(t, "leave", count(t, name+"/waiters", 1))
	alone := begin(recipe.NewDoubleBarrier(two, name, 2).Enter).end(t)
	last := begin(first.Leave)
	dead := last.stuck(time.Second) && leaving.stuck(0)
	return saw("Enter: %v; both Leaves blocked after 1 s: %v", alone, dead), alone == nil && dead
}

func roundsMix(t *testing.T) string {
	one, two, name := plain(t), plain(t), fresh(t)
	enter := func(s *session.Session, entry **barrier.Entry) *call {
		return begin(func() (err error) {
			*entry, err = barrier.NewDouble(s, name, 2).Enter(soon(t))
			return err
		})
	}
	var first, second, firstAgain, secondAgain *barrier.Entry
	a, b := enter(one, &first), enter(two, &second)
	must(t, errors.Join(a.end(t), b.end(t)))
	leaving := begin(func() error { return second.Leave(soon(t)) })
	eventually(t, "leave", func() bool { return len(lineOf(t, name)) == 1 })
	b = enter(two, &secondAgain)
	if !b.stuck(time.Second) || !leaving.stuck(0) {
		t.Errorf("Enter, alone = %v", b.err)
	}
	must(t, first.Leave(soon(t)))
	must(t, leaving.end(t))
	a = enter(one, &firstAgain)
	must(t, errors.Join(a.end(t), b.end(t)))
	if first.Round() != second.Round() || firstAgain.Round() != first.Round()+1 ||
		secondAgain.Round() != firstAgain.Round() {
		t.Errorf("rounds %d and %d, then %d and %d", first.Round(), second.Round(),
			firstAgain.Round(), secondAgain.Round())
	}
	return "it waits for the other"
}

// lastArriverPeer loses the answer to the second arrival. After that answer the second member would
// have announced that the round is complete.
func lastArriverPeer(t *testing.T) (string, bool) {
	one, p, name := newPeer(t).session(t), newPeer(t), fresh(t)
	entering := begin(recipe.NewDoubleBarrier(one, name, 2).Enter)
	eventually(t, "the first", count(t, name+"/waiters", 1))
	s := p.session(t)
	p.beforeWrite(func() { p.link.Blackhole(faultproxy.Down) }, nothing)
	arriving := begin(recipe.NewDoubleBarrier(s, name, 2).Enter)
	eventually(t, "the second", count(t, name+"/waiters", 2))
	p.link.Reset() // the answer may still be on its way
	must(t, p.link.Heal())
	failed := arriving.end(t)
	another := recipe.NewDoubleBarrier(newPeer(t).session(t), name, 2).Enter()
	stuck := entering.stuck(time.Second)
	return saw("Enter: %v; the first waits: %v; a third: %v", failed, stuck, another),
		failed != nil && stuck && errors.Is(another, recipe.ErrTooManyClients)
}

func lastArriver(t *testing.T) string {
	one, link, name := plain(t), newLink(t), fresh(t)
	two := behind(t, link.URL(), nil)
	entering := begin(func() error {
		_, err := barrier.NewDouble(one, name, 2).Enter(soon(t))
		return err
	})
	eventually(t, "the first", func() bool { return len(lineOf(t, name)) == 1 })
	link.Blackhole(faultproxy.Down)
	arriving := begin(func() error {
		_, err := barrier.NewDouble(two, name, 2).Enter(soon(t))
		return err
	})
	if err := entering.end(t); err != nil {
		t.Errorf("Enter of the first = %v", err)
	}
	must(t, link.Heal())
	if err := arriving.end(t); err != nil {
		t.Errorf("Enter of the last = %v", err)
	}
	return "the first goes on, the last when it can"
}

func leavePollsPeer(t *testing.T) (string, bool) {
	p, name := newPeer(t), fresh(t)
	first, second := recipe.NewDoubleBarrier(p.session(t), name, 2),
		recipe.NewDoubleBarrier(newPeer(t).session(t), name, 2)
	entering := begin(first.Enter)
	eventually(t, "the first", count(t, name+"/waiters", 1))
	must(t, second.Enter())
	must(t, entering.end(t))
	compact(t)
	before := p.watches.Load()
	begin(first.Leave)
	return asksOften(t, p, before)
}

// asksOften waits until the wait has opened ten new watches.
func asksOften(t *testing.T, p *peer, before int64) (string, bool) {
	t.Helper()
	eventually(t, "new watches without end", func() bool { return p.watches.Load() >= before+10 })
	return saw("new watches: %d and more", 10), true
}

func leavePolls(t *testing.T) string {
	link, name := newHTTPLink(t), fresh(t)
	requests := link.Add(faultproxy.Rule{Action: faultproxy.DelayBefore(0)})
	s := behind(t, link.URL(), nil)
	var first *barrier.Entry
	entering := begin(func() (err error) {
		first, err = barrier.NewDouble(s, name, 2).Enter(soon(t))
		return err
	})
	second, err := barrier.NewDouble(plain(t), name, 2).Enter(soon(t))
	must(t, err)
	must(t, entering.end(t))
	compact(t)
	leaving := begin(func() error { return first.Leave(soon(t)) })
	eventually(t, "leave", func() bool { return len(lineOf(t, name)) == 1 })
	seen := quiet(t, requests, leaving)
	must(t, second.Leave(soon(t)))
	must(t, leaving.end(t))
	return seen
}

// quiet counts the requests during a second of waiting. A few are the session's, or belong to the
// start of the call.
func quiet(t *testing.T, requests *faultproxy.ArmedRule, waiting *call) string {
	t.Helper()
	before := requests.Seen()
	if !waiting.stuck(time.Second) {
		t.Errorf("the wait ended: %v", waiting.err)
	}
	n := requests.Seen() - before
	if n > 5 {
		t.Errorf("%d requests in a second of waiting", n)
	}
	return saw("requests in 1 s: %d", n)
}
