package cli_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestLsListsEveryHolderAndWaiter: every holder and waiter is listed with its recipe, name,
// session, start and fence.
func TestLsListsEveryHolderAndWaiter(t *testing.T) {
	t.Parallel()
	prefix := fresh(t)
	hold(t, prefix+"/lock", "--owner", "somebody")
	start(t, "lock", prefix+"/lock", "--", "true")
	awaitMembers(t, prefix+"/lock", 2)
	start(t, "semaphore", prefix+"/gpus", "--limit", "4", "--weight", "2").line()
	start(t, "elect", prefix+"/leader", "me:80").line()
	start(t, "barrier", "enter", prefix+"/step", "--parties", "2")
	awaitMembers(t, prefix+"/step", 1)
	hf(t, 0, "queue", "put", prefix+"/jobs", "x")
	start(t, "queue", "consume", prefix+"/jobs", "--", "sh", "-c",
		"echo; cat; exec sleep 100").line()

	want := map[string]string{
		"/lock holds": "lock", "/lock waits": "lock", "/gpus holds": "semaphore",
		"/leader leads": "election", "/step at it": "barrier",
		"/jobs works": "queue",
	}
	for _, row := range rows(t, "ls", prefix) {
		is := strings.TrimPrefix(row["name"].(string), prefix) + " " + row["state"].(string)
		if want[is] != row["recipe"] {
			t.Errorf("unexpected: %v", row)
		}
		delete(want, is)
		who, _ := row["session"].(map[string]any)
		host, _ := os.Hostname()
		if who["host"] != host || who["started"] == nil ||
			row["fence"].(float64) < 1 || row["key"] == "" {
			t.Errorf("who, since when, fence: %v", row)
		}
		if is == "/lock holds" && who["name"] != "somebody" ||
			is == "/jobs works" && who["name"] != "sh" {
			t.Errorf("owner of %s: %v", is, who)
		}
	}
	for is := range want {
		t.Errorf("not listed: %s", is)
	}
	if out := hf(t, 0, "ls", prefix); strings.Count(out, "\n") != 6 ||
		!strings.Contains(out, "somebody (") {
		t.Errorf("table:\n%s", out)
	}
	if out := hf(t, 0, "info", prefix+"/gpus"); !strings.Contains(out, "limit: 4") ||
		!strings.Contains(out, "holds") {
		t.Errorf("info:\n%s", out)
	}
	if info := rows(t, "info", prefix+"/lock"); len(info) != 1 ||
		len(info[0]["members"].([]any)) != 2 {
		t.Errorf("info: %v", info)
	}
	complain(t, 1, "info", prefix)
}

// TestBreakEndsAHoldAndNamesTheReason: the holder reports that it lost the lock, the next waiter
// acquires it, and the reason is printed.
func TestBreakEndsAHoldAndNamesTheReason(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	complain(t, 1, "break", name, "--reason", "tidy up")
	r := start(t, "lock", name, "--", "sh", "-c", "echo; while :; do sleep 0.05; done")
	r.line()
	complain(t, 64, "break", name)
	next := start(t, "lock", name, "--", "echo", "mine")
	awaitMembers(t, name, 2)
	said := complain(t, 0, "break", name, "--reason", "host is\non fire")
	if !strings.Contains(said, `"host is\non fire"`) || !strings.Contains(said, name+"/") {
		t.Error(said)
	}
	next.line()
	next.want(0)
	r.want(75)
	if text := r.stderr.String(); !strings.Contains(text, "removed") ||
		!strings.Contains(text, "on fire") || strings.Count(text, "\n") != 1 {
		t.Errorf("the holder said %q", text)
	}
	if text := hf(t, 0, "info", name); !strings.Contains(text, "on fire") {
		t.Errorf("info: %s", text)
	}
	info := rows(t, "info", name)[0]["broken"].([]any)[0].(map[string]any)
	if info["reason"] != "host is\non fire" || info["holder"].(map[string]any)["name"] != "sh" {
		t.Errorf("info: %v", info)
	}

	one, two := hold(t, "-s", name), hold(t, "-s", name)
	text := complain(t, 64, "break", name, "--reason", "x")
	_, keys, _ := strings.Cut(text, "--key ")
	key, _, _ := strings.Cut(keys, ",")
	broken := start(t, "--json", "break", name, "--reason", "x", "--key", key)
	broken.want(0)
	if out := broken.rest(); !strings.Contains(out, `"reason":"x"`) ||
		!strings.Contains(out, key) || broken.stderr.String() != "" {
		t.Errorf("in JSON: %s, beside %q", out, broken.stderr.String())
	}
	one.want(75)
	two.signal(syscall.SIGTERM)
	two.want(0)
}

// TestDoctorFindsNothingWrong: if nothing is wrong, doctor says so.
func TestDoctorFindsNothingWrong(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	// some findings are about the whole cluster, in which other tests make crowded leases
	own := etcdtest.Start(t, recipetest.Server(etcdproc.Versions()[0]))
	at := "--endpoints=" + own.Endpoints()[0]
	hold(t, at, name)
	seen := map[any]bool{}
	for _, f := range rows(t, at, "doctor", name) {
		seen[f["check"]] = true
		if f["level"] != "ok" {
			t.Errorf("found %v", f)
		}
	}
	for _, check := range []string{"endpoint", "clock", "leases", "leftovers", "deadlock"} {
		if !seen[check] {
			t.Errorf("no check of %s", check)
		}
	}
}

// TestDoctorFindsALeftoverBeforeAWaiter: doctor finds a key without a lease in a line in which
// somebody waits, and break deletes it.
func TestDoctorFindsALeftoverBeforeAWaiter(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	if _, err := newClient(t).Put(within(t, patience), name+"/left-over", nil); err != nil {
		t.Fatal(err)
	}
	r := start(t, "lock", name, "--", "true")
	awaitMembers(t, name, 2)
	if out := hf(t, 1, "doctor", name); !strings.Contains(out, name+"/left-over") {
		t.Errorf("doctor:\n%s", out)
	}
	hf(t, 0, "break", name, "--key", name+"/left-over", "--reason", "nobody's")
	r.want(0)
}

// TestDoctorFindsAKeyWithoutItsLease: doctor finds a member's key that is not under the lease in
// its name, and break deletes it.
func TestDoctorFindsAKeyWithoutItsLease(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	key := name + "/6dd18b3364141523"
	if _, err := newClient(t).Put(within(t, patience), key, nil); err != nil {
		t.Fatal(err)
	}
	r := start(t, "lock", name, "--", "true")
	awaitMembers(t, name, 2)
	if out := hf(t, 1, "doctor", name); !strings.Contains(out, key+" is not under the lease") {
		t.Errorf("doctor:\n%s", out)
	}
	hf(t, 0, "break", name, "--key", key, "--reason", "nobody's")
	r.want(0)
}

// TestDoctorNotesACrowdedLease: a lease with more than 1,000 keys is noted with its session. A
// lease with exactly 1,000 is not.
func TestDoctorNotesACrowdedLease(t *testing.T) {
	t.Parallel()
	prefix := fresh(t)
	// the note covers the whole cluster
	own := etcdtest.Start(t, recipetest.Server(etcdproc.Versions()[0]))
	c := recipetest.NewClient(t, gateway.Config{Endpoints: own.Endpoints()})
	fill := func(name string, keys int) {
		t.Helper()
		s := recipetest.NewSession(t, c, &session.Options{Name: name})
		for n := 1; n < keys; { // the session's record is the first
			var txn gateway.Txn
			for ; n < keys && len(txn.Then) < 100; n++ {
				key := fmt.Sprintf("%s/%s/%d/%s", prefix, name, n, s.Lease())
				txn.Then = append(txn.Then, gateway.OpPut(key, nil, gateway.WithLease(s.Lease())))
			}
			if _, err := c.Txn(within(t, patience), txn); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill("hoarder", 1001)
	fill("moderate", 1000)
	doctor := start(t, "--endpoints", own.Endpoints()[0], "doctor", prefix)
	doctor.want(0)
	out := doctor.rest()
	if strings.Count(out, "hoarder (") != 1 || !strings.Contains(out, "has 1001 keys") {
		t.Errorf("no note of the lease with 1,001 keys:\n%s", out)
	}
	if strings.Contains(out, "moderate (") {
		t.Errorf("a note of the lease with 1,000 keys:\n%s", out)
	}
}

// TestDoctorNotesNamesThatDifferByASlash: a name that ends in a slash is another lock, and doctor
// notes that both names are in use.
func TestDoctorNotesNamesThatDifferByASlash(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hold(t, name)
	hold(t, name+"/")
	if all := rows(t, "ls", name); len(all) != 2 {
		t.Errorf("ls: %v", all)
	}
	hf(t, 0, "info", name+"/")
	if out := hf(t, 0, "doctor", name); !strings.Contains(out,
		name+" and "+name+"/ are both in use") {
		t.Errorf("doctor:\n%s", out)
	}
}

// TestDoctorNamesADeadlock: doctor names two sessions that wait for each other, in programs and in
// nested commands.
func TestDoctorNamesADeadlock(t *testing.T) {
	t.Parallel()
	t.Run("commands", func(t *testing.T) {
		t.Parallel()
		prefix := fresh(t)
		x, y := prefix+"-x", prefix+"-y"
		gates := []string{fifo(t), fifo(t)}
		crossed := func(gate, first, second string) *running {
			return start(t, "lock", first, "--ttl", "3", "--", "sh", "-c",
				"echo; read go <$0; exec \"$@\"", gate, program, "lock", second, "--", "true")
		}
		one, two := crossed(gates[0], x, y), crossed(gates[1], y, x)
		one.line()
		two.line()
		hf(t, 0, "doctor", prefix)
		for _, gate := range gates {
			open(t, gate)
		}
		checkDeadlock(t, prefix, x, y)
		hf(t, 0, "break", x, "--reason", "deadlock")
		one.want(75)
		two.want(0)
		hf(t, 0, "doctor", prefix)
	})
	t.Run("sessions", func(t *testing.T) {
		t.Parallel()
		prefix := fresh(t)
		a, b := newSession(t), newSession(t)
		ctx := within(t, patience+patience)
		take := func(s *session.Session, name string) *mutex.Lock {
			l, err := mutex.New(s, name, nil).Lock(ctx)
			if err != nil {
				t.Error(err)
			}
			return l
		}
		take(a, prefix+"-x")
		held := take(b, prefix+"-y")
		if held == nil {
			t.FailNow()
		}
		bctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var waiting sync.WaitGroup
		waiting.Go(func() { take(a, prefix+"-y") })
		waiting.Go(func() {
			if _, err := mutex.New(b, prefix+"-x", nil).Lock(bctx); err == nil {
				t.Error("b has what a has not given back")
			}
		})
		awaitMembers(t, prefix+"-x", 2)
		awaitMembers(t, prefix+"-y", 2)
		checkDeadlock(t, prefix, prefix+"-x", prefix+"-y")
		if err := held.Unlock(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		waiting.Wait()
	})
}

// checkDeadlock fails unless the doctor names the deadlock, with the two locks.
func checkDeadlock(t *testing.T, prefix string, names ...string) {
	t.Helper()
	found := ""
	eventually(t, "deadlock", func() bool {
		r := start(t, "doctor", "--json", prefix)
		if r.wait() == 1 {
			found = r.rest()
		}
		return found != ""
	})
	for _, want := range append(names, `"check":"deadlock"`, "waits for", "holdfast break") {
		if !strings.Contains(found, want) {
			t.Errorf("no %q in %s", want, found)
		}
	}
	if n := strings.Count(found, `"level":"bad"`); n != 1 {
		t.Errorf("%d things are wrong: %s", n, found)
	}
}
