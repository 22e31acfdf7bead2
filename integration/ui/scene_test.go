package ui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/queue"
)

// shotsEnv names a folder for screenshots, such as docs/img.
const shotsEnv = "HOLDFAST_SCREENSHOTS"

// scene writes the keys of sessions on hosts that do not exist, as docs/keys.md describes them, so
// that a screenshot shows the same on each machine.
type scene struct {
	*testing.T
	c      *gateway.Client
	leases map[string]gateway.LeaseID
}

func (s *scene) put(key, value string, lease gateway.LeaseID) {
	s.Helper()
	var opts []gateway.Option
	if lease != 0 {
		opts = append(opts, gateway.WithLease(lease))
	}
	if _, err := s.c.Put(within(s, patience), key, []byte(value), opts...); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) json(v any) string {
	s.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// session starts a session "name@host" at its first use, with a lease that nobody renews.
func (s *scene) session(who string, ttl time.Duration) gateway.LeaseID {
	s.Helper()
	if id, ok := s.leases[who]; ok {
		return id
	}
	grant, err := s.c.Grant(within(s, patience), 0, ttl)
	if err != nil {
		s.Fatal(err)
	}
	name, host, _ := strings.Cut(who, "@")
	s.put("holdfast/sessions/"+grant.ID.String(), s.json(map[string]any{
		"id": who, "name": name, "host": host, "pid": 400 + 37*len(s.leases),
		"started": time.Now().Add(-time.Duration(len(s.leases)+3) * 13 * time.Minute).UTC(), "ttl": 60,
	}), grant.ID)
	s.leases[who] = grant.ID
	return grant.ID
}

// join puts members into the line of a name, in their order: "name@host", or "name@host=value".
func (s *scene) join(name string, members ...string) {
	s.Helper()
	for _, m := range members {
		who, value, _ := strings.Cut(m, "=")
		id := s.session(who, time.Duration(70+20*len(who))*time.Second)
		s.put(name+"/"+id.String(), value, id)
	}
}

func (s *scene) set(name, setting, value string) {
	s.Helper()
	s.put(name+"//"+setting, value, 0)
}

// everything writes a name of each recipe, a deadlock, a broken hold, and a holder whose lease
// ends.
func (s *scene) everything() {
	s.Helper()
	s.session("backup@db3", 20*time.Second) // silent after ten seconds
	s.join("backups/orders", "backup@db3", "backup@db1", "backup@db2")
	s.join("billing/invoices", "billing@app1", "billing@app2", "billing@app3", "report@app2")
	s.join("billing/ledger", "report@app2", "ledger@app4", "billing@app1")
	s.join("billing/ledger", "audit@app5")
	s.join("catalog/index", "reader-1@web1=shared", "reader-2@web2=shared", "indexer@app4")
	s.join("config/tenants", "gate@web1")
	s.join("deploy/production", "pipeline@ci1", "pipeline@ci2")
	s.join("gpu/pool", "train-a@gpu1=3", "train-b@gpu1=2", "infer@gpu2=1", "train-c@gpu2=4",
		"train-d@gpu3=2")
	s.set("gpu/pool", "limit", "8")
	s.set("gpu/pool", "size", "8")
	s.join("leader/scheduler", "sched-0@app1=10.0.0.7:8080", "sched-1@app2=10.0.0.8:8080",
		"sched-2@app3=10.0.0.9:8080")
	s.join("migrate/step", "shard-1@db1", "shard-2@db2", "shard-3@db3")
	s.set("migrate/step", "parties", "double 5")
	s.join("smtp/connections", "mailer-1@web1=5", "mailer-2@web2=4")
	s.set("smtp/connections", "limit", "20")
	s.set("smtp/connections", "size", "20")

	s.join("reports/nightly", "cron@app1=0 2 * * *", "cron@app2=0 2 * * *")
	begun := time.Now().UTC().Truncate(time.Hour)
	tick := func(i int, took time.Duration, failure string) map[string]any {
		at := begun.Add(time.Duration(i-14) * 24 * time.Hour)
		return map[string]any{
			"scheduled": at, "started": at, "ended": at.Add(took), "attempt": 1, "fence": 7,
			"by": "reports (app1, pid 4711)", "error": failure,
		}
	}
	for i := range 14 {
		failure := ""
		if i == 9 {
			failure = "exit status 1"
		}
		s.put(fmt.Sprintf("reports/nightly//history/%016d", i+1),
			s.json(tick(i, time.Duration(3+i*i%7*9)*time.Second, failure)), 0)
	}
	running := tick(14, 0, "")
	delete(running, "ended")
	running["started"], running["key"] = time.Now().Add(-42*time.Second).UTC(), "x"
	s.set("reports/nightly", "state",
		s.json(map[string]any{"count": 15, "last": begun, "running": running}))

	members := []string{"worker-0", "worker-1", "worker-2", "worker-3"}
	for i, id := range members {
		who := id + "@app" + fmt.Sprint(i+1)
		lease := s.session(who, 200*time.Second)
		s.put("tenants//members/"+id, s.json(map[string]any{
			"token": "t", "weight": 1,
			"zone": "eu-1" + string(rune('a'+i%2)),
		})+"\n10.0.1."+fmt.Sprint(i+3)+":9000", lease)
		for shard := i * 8; shard < (i+1)*8; shard++ {
			s.put(fmt.Sprintf("tenants//shards/%d/%s", shard, lease), id, lease)
		}
	}
	s.set("tenants", "assignment", s.json(map[string]any{"n": 32}))

	lease := s.session("infer@gpu2", time.Minute)
	at := s.session("ops@bastion", time.Minute)
	s.put("holdfast/broken/"+"config/tenants/4712", s.json(map[string]any{
		"key": "config/tenants/" + lease.String(), "fence": 4712, "reason": "web3 is on fire",
		"by":     map[string]any{"name": "ops", "host": "bastion", "pid": 811},
		"holder": map[string]any{"name": "gate", "host": "web3", "pid": 4711}, "time": time.Now().UTC(),
	}), at)
}

// TestEveryRecipeIsDrawn in light and dark, without an error of a script. With HOLDFAST_SCREENSHOTS
// the screenshots are kept.
func TestEveryRecipeIsDrawn(t *testing.T) {
	t.Parallel()
	browser(t)
	namespace := fresh(t) + "/"
	s := &scene{T: t, leases: map[string]gateway.LeaseID{}, c: recipetest.NewClient(t,
		gateway.Config{Endpoints: cluster.Endpoints(), Namespace: namespace})}
	s.everything()
	p := open(t, serve(t, "--namespace", namespace), 1400, 1130)
	p.await(".row", "billing/invoices", "gpu/pool", "6 / 8", "reports/nightly", "tenants", "deadlock",
		"broken")
	q := queue.New(recipetest.NewSession(t, s.c, nil), "mail/outbox", nil)
	items := 0
	eventually(t, "a silent holder", func() bool {
		n := 3 + items%7*2
		if _, err := q.EnqueueAll(within(t, patience), make([][]byte, n), nil); err != nil {
			t.Fatal(err)
		}
		if items += n; items%3 == 0 {
			for range 12 {
				if m, err := q.TryReceive(within(t, patience)); err == nil {
					_ = m.Ack(within(t, patience)) // the queue's tests look at this
				}
			}
		}
		return strings.Contains(p.row("backups/orders"), "holder is silent")
	})
	p.shoot("ui-light", "light")
	p.goTo("name/billing%2Fledger")
	p.await(".panel", "Deadlock", "ledger", "waiters, in order")
	p.shoot("ui-dark", "dark")
	p.goTo("waits")
	p.await(".graph .node.bad", "billing", "report")
	p.shoot("ui-waits", "light")
	for id, text := range map[string]string{
		"gpu/pool": "of 8 held", "mail/outbox": "enqueued ever", "reports/nightly": "exit status 1",
		"tenants": "32 shards", "config/tenants": "web3 is on fire", "leader/scheduler": "10.0.0.7:8080",
		"migrate/step": "shard-2", "catalog/index": "reader",
	} {
		p.goTo("name/" + url.PathEscape(id))
		p.await(".panel", id, text)
	}
	p.goTo("session/" + s.leases["billing@app1"].String())
	p.await(".panel", "billing", "Holds", "billing/invoices", "Waits for", "billing/ledger")
	p.clean()
}

// shoot takes a screenshot, in a colour scheme of the system.
func (p *tab) shoot(name, scheme string) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
	dark := eval[bool](p, `matchMedia("(prefers-color-scheme: dark)").matches`)
	if dark != (scheme == "dark") {
		p.Fatalf("the scheme is not %s", scheme)
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.Fatal(err)
	}
	dir := os.Getenv(shotsEnv)
	if dir == "" {
		dir = p.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.Fatal(err)
	}
}
