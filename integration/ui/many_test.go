package ui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

const (
	manyNames    = 1000
	manyMembers  = 10 // of each name
	manySessions = 500
)

// crowd puts 1,000 names with 10,000 members of 500 sessions, and returns their leases.
func crowd(t *testing.T, c *gateway.Client) (leases []gateway.LeaseID) {
	t.Helper()
	ctx := within(t, time.Minute)
	leases = make([]gateway.LeaseID, manySessions)
	parallel(t, manySessions, func(i int) error {
		grant, err := c.Grant(ctx, 0, time.Hour)
		if err != nil {
			return err
		}
		leases[i] = grant.ID
		_, err = c.Put(ctx, "holdfast/sessions/"+grant.ID.String(), fmt.Appendf(nil,
			`{"id":"%d","name":"worker-%d","host":"app%d","pid":%d,"started":"2026-11-21T09:00:00Z"}`,
			i, i, i%40, 1000+i), gateway.WithLease(grant.ID))
		return err
	})
	for j := range manyMembers { // the first members of all names join first
		parallel(t, manyNames/100, func(part int) error {
			var txn gateway.Txn
			for i := part * 100; i < (part+1)*100; i++ {
				lease := leases[(i*7+j*31)%manySessions]
				op := gateway.OpPut(manyKey(i, lease), nil, gateway.WithLease(lease))
				txn.Then = append(txn.Then, op)
			}
			_, err := c.Txn(ctx, txn)
			return err
		})
	}
	return leases
}

func manyName(i int) string { return fmt.Sprintf("jobs/%04d", i) }

func manyKey(i int, lease gateway.LeaseID) string { return manyName(i) + "/" + lease.String() }

// parallel calls fn for each number below n, in several goroutines.
func parallel(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var all sync.WaitGroup
	for range 4 { // more would only queue at etcd
		all.Go(func() {
			for i := range next {
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// TestAThousandNames with ten members each: the first paint takes at most 2 s, and the main thread
// is never busy for more than 100 ms with an update.
func TestAThousandNames(t *testing.T) {
	browser(t)
	namespace := fresh(t) + "/"
	c := recipetest.NewClient(t,
		gateway.Config{Endpoints: cluster.Endpoints(), Namespace: namespace})
	leases := crowd(t, c)
	url := serve(t, "--namespace", namespace)
	p := open(t, "about:blank", 1280, 800)
	p.url = url
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, performance.Enable, performance.EnableParams{
			TimeDomain: performance.EnableTimeDomainThreadTicks, // a busy machine does not count
		})
		return err
	}))
	first := 0.0
	for load := range 3 { // the best of three, because the machine may be busy
		p.do(chromedp.Navigate(url))
		p.await(".tabs .on", "1,000")
		ms := eval[float64](p, `performance.getEntriesByName("update")[0].startTime +
			performance.getEntriesByName("update")[0].duration`)
		if first = min(first, ms); load == 0 {
			first = ms
		}
	}
	recipetest.Figure(t, "1,000 names with 10,000 members are drawn after %.0f ms", first)
	if first > 2000 {
		t.Errorf("the first paint took %.0f ms", first)
	}
	if n := eval[int](p, `document.querySelectorAll(".row").length`); n < 10 || n > 60 {
		t.Errorf("%d rows are in the document", n)
	}
	worst, updates := 0.0, 0
	for round := range manyMembers - 2 { // hand-overs at a hundred names at once
		eval[bool](p, `(performance.clearMeasures("update"), true)`)
		before := p.busy()
		parallel(t, 100, func(i int) error {
			_, err := c.Delete(within(t, patience), manyKey(i, leases[(i*7+round*31)%manySessions]))
			return err
		})
		next := fmt.Sprintf("worker-%d", ((round+1)*31)%manySessions)
		eventually(t, "the next holder", func() bool {
			return strings.Contains(p.row(manyName(0)), next)
		})
		n := eval[int](p, `performance.getEntriesByName("update").length`)
		worst, updates = max(worst, 1000*(p.busy()-before)/float64(max(n, 1))), updates+n
	}
	recipetest.Figure(t, "an update takes at most %.1f ms of the main thread, of %d", worst, updates)
	if worst > 100 {
		t.Errorf("an update takes %.0f ms", worst)
	}
	p.goTo("waits")
	p.await(".graph", "other waits are not drawn")
	p.goTo("sessions")
	p.await(".row", "worker-")
	p.clean()
}

// busy returns for how many seconds the main thread was busy.
func (p *tab) busy() float64 {
	p.Helper()
	var all performance.GetMetricsResult
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) (err error) {
		all, err = cdp.Call(ctx, tab, performance.GetMetrics, cdp.Empty{})
		return err
	}))
	for _, m := range all.Metrics {
		if m.Name == "TaskDuration" {
			return m.Value
		}
	}
	p.Fatal("no TaskDuration")
	return 0
}

// TestHostileNamesAndValues: names and values that look like HTML or are of 1 MiB are shown as
// texts, and cut.
func TestHostileNamesAndValues(t *testing.T) {
	t.Parallel()
	browser(t)
	namespace := fresh(t) + "/"
	s := &scene{T: t, leases: map[string]gateway.LeaseID{}, c: recipetest.NewClient(t,
		gateway.Config{Endpoints: cluster.Endpoints(), Namespace: namespace})}
	script := `<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">`
	huge := strings.Repeat("<b>", 1<<20/3)
	s.join(script, script+"@"+script+"="+script)
	s.join("value", "one@host="+huge, "two@host=\xff\xfe\x00")
	s.join("name"+huge, "three@host")
	s.join("invalid\xff\xfe", "four@host")
	s.join("'\"`${window.hacked = 3}", "five@host")
	p := open(t, serve(t, "--namespace", namespace), 1280, 800)
	p.await(".row", script, "value", "name<b>", "three", "four", "five")
	ids := eval[[]string](p, `[...document.querySelectorAll(".row")].map((e) => e.dataset.id)`)
	if len(ids) != 5 {
		t.Errorf("%d rows", len(ids))
	}
	for i := range ids { // the links that the page itself makes
		p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
			`location.href = document.querySelectorAll(".row a.name")[%d].href`, i)))
		id, _ := json.Marshal(ids[i])
		eventually(t, "details of "+ids[i][:min(20, len(ids[i]))], func() bool {
			return eval[bool](p, `Boolean(document.querySelector(".panel h2")) &&
				document.querySelector(".panel .chip") !== null &&
				location.hash.endsWith(encodeURIComponent(`+string(id)+`))`)
		})
	}
	p.goTo("sessions")
	p.await(".row", "<script>")
	p.goTo("waits")
	if eval[bool](p, `Boolean(window.hacked) ||
		document.querySelectorAll("body script, body img:not(.brand img)").length > 0`) {
		t.Error("a text was read as HTML")
	}
	if n := eval[int](p, `document.documentElement.outerHTML.length`); n > 200_000 {
		t.Errorf("the document has %d characters", n)
	}
	p.clean()
}
