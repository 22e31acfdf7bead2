package ui_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// lock locks a name in the background, and returns the lock when it is granted.
func lock(t *testing.T, s *session.Session, name string) <-chan *mutex.Lock {
	t.Helper()
	granted := make(chan *mutex.Lock, 1)
	ctx := within(t, time.Minute)
	var waiting sync.WaitGroup
	t.Cleanup(waiting.Wait)
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	waiting.Go(func() {
		if l, err := mutex.New(s, name, nil).Lock(ctx); err == nil {
			granted <- l
		}
	})
	return granted
}

// TestAHandOverIsShownWithinASecond from the Unlock to the row in the document.
func TestAHandOverIsShownWithinASecond(t *testing.T) {
	name := fresh(t)
	p := open(t, serve(t, name), 1280, 800)
	one, two := newSession(t, "first-holder"), newSession(t, "second-holder")
	first := <-lock(t, one, name)
	lock(t, two, name)
	p.await(".row .note", "1 waiting")
	if text := p.row(name); !strings.Contains(text, "first-holder") {
		t.Errorf("the row is %q", text)
	}
	// The page itself notes the time at which the row changes.
	p.goTo("name/" + name)
	p.await(".panel", "first-holder", "second-holder")
	eval[bool](p, `(() => {
		window.changed = 0;
		new MutationObserver(() => {
			if (document.querySelector(".row .chip")?.textContent.includes("second-holder")) {
				window.changed ||= Date.now();
			}
		}).observe(document.body, {subtree: true, childList: true});
		return true;
	})()`)
	begun := time.Now()
	if err := first.Unlock(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	p.await(".row .chip", "second-holder")
	took := time.UnixMilli(eval[int64](p, `window.changed`)).Sub(begun)
	recipetest.Figure(t, "a hand-over is shown after %v", took)
	if took > time.Second {
		t.Errorf("shown after %v", took)
	}
	p.await(".panel", "second-holder", "first-holder", "has ended")
	p.clean()
}

// TestABrokenLockIsShown with its reason, at once, and in the details.
func TestABrokenLockIsShown(t *testing.T) {
	name := fresh(t)
	p := open(t, serve(t, name), 1280, 800)
	one := newSession(t, "victim")
	l := <-lock(t, one, name)
	p.await(".row", "victim")
	err := session.Break(within(t, patience), newClient(t), l.Key(), l.Fence(), "host is on fire")
	if err != nil {
		t.Fatal(err)
	}
	p.await(".row", "broken", "free")
	p.goTo("name/" + name)
	p.await(".panel", "host is on fire", "victim")
	p.clean()
}

// TestADeadHolderIsShown as silent before its lease ends, and the next holder after that.
func TestADeadHolderIsShown(t *testing.T) {
	name := fresh(t)
	p := open(t, serve(t, name), 1280, 800)
	_, kill := start(t, nil, "lock", name, "--ttl", "10", "--owner", "dead-holder")
	next := lock(t, newSession(t, "next-holder"), name)
	p.await(".row", "dead-holder", "1 waiting")
	kill()
	p.await(".row", "holder is silent")
	p.await(".alerts", "Silent holder", "dead-holder", "before 1 waiter")
	p.goTo("sessions")
	p.await(".row", "dead-holder", "silent", "1 behind it")
	p.goTo("all")
	<-next
	p.await(".row", "next-holder")
	eventually(t, "no alert", func() bool { return p.text(".alerts") == "" })
	p.clean()
}

// TestACycleOfTwoWaitersIsMarked in the alerts, in both rows and in the graph.
func TestACycleOfTwoWaitersIsMarked(t *testing.T) {
	prefix := fresh(t)
	p := open(t, serve(t, prefix), 1280, 800)
	a, b := newSession(t, "ann"), newSession(t, "bob")
	<-lock(t, a, prefix+"-x")
	held := <-lock(t, b, prefix+"-y")
	lock(t, a, prefix+"-y")
	p.await(".row .note", "1 waiting")
	if text := p.text(".alerts"); text != "" {
		t.Errorf("an alert without a cycle: %s", text)
	}
	lock(t, b, prefix+"-x")
	p.await(".alerts", "Deadlock", "ann (", "bob (", "waits at")
	for _, name := range []string{"-x", "-y"} {
		if text := p.row(prefix + name); !strings.Contains(text, "deadlock") {
			t.Errorf("the row is %q", text)
		}
	}
	p.goTo("waits")
	eventually(t, "a red cycle of two", func() bool {
		return eval[int](p, `document.querySelectorAll(".edge.bad").length`) == 2
	})
	p.await(".graph .node.bad", "ann", "bob")
	if err := held.Unlock(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no cycle", func() bool {
		return eval[int](p, `document.querySelectorAll(".edge.bad").length`) == 0
	})
	p.clean()
}

// TestAQueueThatGrowsIsShown with its depth over time.
func TestAQueueThatGrowsIsShown(t *testing.T) {
	name := fresh(t)
	p := open(t, serve(t, name), 1280, 800)
	q := queue.New(newSession(t, "producer"), name, nil)
	values := make([][]byte, 40)
	for i := range 3 {
		if _, err := q.EnqueueAll(within(t, patience), values, nil); err != nil {
			t.Fatal(err)
		}
		p.await(".row .number", strconv.Itoa(40*(i+1))+"ready")
	}
	// each depth stays for a second at least, so that the chart has more than one
	eventually(t, "steps", func() bool {
		if _, err := q.Enqueue(within(t, patience), nil, nil); err != nil {
			t.Fatal(err)
		}
		return strings.Count(eval[string](p,
			`document.querySelector(".row .steps .line")?.getAttribute("d") ?? ""`), "V") >= 3
	})
	p.goTo("name/" + name)
	p.await(".panel", "Depth", "enqueued ever")
	p.clean()
}

// TestALinkAndASearch: a link opens the details of its name, and a search finds names and sessions.
func TestALinkAndASearch(t *testing.T) {
	prefix := fresh(t)
	odd := prefix + "/a name?&#/%41"
	<-lock(t, newSession(t, "needle"), odd)
	<-lock(t, newSession(t, "hay"), prefix+"/other")
	p := open(t, serve(t, prefix), 1280, 800)
	p.await(".row", "needle", "hay")
	link := eval[string](p, `[...document.querySelectorAll(".row a.name")].
		find((a) => a.title.includes("name?")).href`)
	p = open(t, link, 1280, 800)
	p.await(".panel h2", odd)
	eval[bool](p, `(() => { const s = document.getElementById("search"); s.value = "NEEDLE";
		s.dispatchEvent(new Event("input")); return true; })()`)
	eventually(t, "one row", func() bool {
		return eval[int](p, `document.querySelectorAll(".row").length`) == 1
	})
	if text := p.row(odd); !strings.Contains(text, "needle") {
		t.Errorf("found %q", text)
	}
	p.clean()
}

// TestAHiddenPageHoldsNoConnection: a browser has few connections for each server, so pages in the
// background close theirs. A page that is shown again is up to date.
func TestAHiddenPageHoldsNoConnection(t *testing.T) {
	name := fresh(t)
	p := open(t, serve(t, name), 1280, 800)
	<-lock(t, newSession(t, "early-holder"), name+"/1")
	p.await(".row", "early-holder")
	show := func(hidden bool) {
		eval[bool](p, fmt.Sprintf(`(() => {
			Object.defineProperty(document, "hidden", {value: %v, configurable: true});
			document.dispatchEvent(new Event("visibilitychange"));
			return true;
		})()`, hidden))
	}
	eval[bool](p, `(() => {
		window.streamsClosed = 0;
		const close = EventSource.prototype.close;
		EventSource.prototype.close = function () { window.streamsClosed++; close.call(this); };
		return true;
	})()`)
	show(true)
	if n := eval[int](p, `window.streamsClosed`); n != 1 {
		t.Errorf("%d streams were closed", n)
	}
	<-lock(t, newSession(t, "late-holder"), name+"/2")
	show(false)
	p.await(".row", "early-holder", "late-holder")
	p.await("#status", "live")
	p.clean()
}
