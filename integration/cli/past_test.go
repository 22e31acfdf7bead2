package cli_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestHistoryShowsTheHoldersAndTheGaps: two holds, one after the other, with a gap, and the line as
// it was during the first.
func TestHistoryShowsTheHoldersAndTheGaps(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	complain(t, 1, "history", name)
	hf(t, 0, "lock", "--owner", "first", name, "--", "true")
	hold(t, name, "--owner", "second")
	past := rows(t, "history", name)
	if len(past) != 3 {
		t.Fatalf("%d rows: %v", len(past), past)
	}
	for i, want := range []string{"held first", "free <nil>", "held second"} {
		owner, _ := past[i]["session"].(map[string]any)
		if got := fmt.Sprint(past[i]["state"], " ", owner["name"]); got != want {
			t.Errorf("row %d: %q, want %q", i, got, want)
		}
	}
	if past[0]["to"] != past[1]["from"] || past[1]["to"] != past[2]["from"] {
		t.Errorf("the rows do not join: %v", past)
	}
	if _, over := past[2]["to"]; over || past[0]["fence"] != past[0]["from"] {
		t.Errorf("%v", past)
	}
	at := fmt.Sprintf("%.0f", past[0]["from"])
	shown := rows(t, "history", name, "--at", at)[0]
	members, _ := shown["members"].([]any)
	if len(members) != 1 || members[0].(map[string]any)["key"] != past[0]["key"] {
		t.Errorf("at %s: %v", at, shown)
	}
	complain(t, 1, "history", name, "--at", fmt.Sprintf("%.0f", past[1]["from"]))
	complain(t, 64, "history", name, "--at", "0")
	complain(t, 1, "history", name, "--at", "999999999")
	if text := hf(t, 0, "history", name); !strings.Contains(text, "nobody") ||
		strings.Count(text, "\n") != 3 {
		t.Errorf("%q", text)
	}
}

// TestHistoryBeginsAtTheCompaction: after a compaction the history begins with the hold of that
// time, and a warning names the revision.
func TestHistoryBeginsAtTheCompaction(t *testing.T) {
	t.Parallel()
	own := etcdtest.Start(t, recipetest.Server(etcdproc.Versions()[0]))
	at, c := "--endpoints="+own.Endpoints()[0], own.ClientV3(t)
	hf(t, 0, at, "lock", "--owner", "forgotten", "a", "--", "true")
	hold(t, at, "--owner", "holder", "a")
	resp, err := c.Put(t.Context(), "other", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	r := start(t, at, "--json", "history", "a")
	r.want(0)
	if out := r.rest(); strings.Count(out, "\n") > 0 || !strings.Contains(out, `"name":"holder"`) ||
		!strings.Contains(out, fmt.Sprintf(`"from":%d`, resp.Header.Revision)) {
		t.Errorf("%q", out)
	}
	if text := r.stderr.String(); !strings.Contains(text,
		fmt.Sprintf("before revision %d is compacted", resp.Header.Revision)) {
		t.Errorf("%q", text)
	}
	complain(t, 1, at, "history", "a", "--at", "2")
}

// TestWhyNamesWhatACallWaitsFor: a free lock after its use, a held one, a key without a lease, and
// a queue that is paused.
func TestWhyNamesWhatACallWaitsFor(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	complain(t, 1, "why", name)
	hold(t, name+"/lock", "--owner", "somebody")
	start(t, "lock", name+"/lock", "--", "true")
	awaitMembers(t, name+"/lock", 2)
	got := rows(t, "why", name+"/lock")[0]
	holders, _ := got["holders"].([]any)
	if len(holders) != 1 || got["ahead"] != 1.0 || got["recipe"] != "lock" {
		t.Fatalf("%v", got)
	}
	holder := holders[0].(map[string]any)
	owner, _ := holder["session"].(map[string]any)
	if owner["name"] != "somebody" || holder["suspect"] != false || holder["ttl"] != 15.0 {
		t.Errorf("%v", holder)
	}
	if text := hf(t, 0, "why", name+"/lock"); !strings.Contains(text, "held by somebody (") ||
		!strings.Contains(text, "\n1 that wait ahead have their turn first") {
		t.Errorf("%q", text)
	}
	c := newClient(t)
	if _, err := c.Put(t.Context(), name+"/stuck/1234567890abcdef", nil); err != nil {
		t.Fatal(err)
	}
	if text := hf(t, 0, "why", name+"/stuck"); !strings.Contains(text, "has no lease") {
		t.Errorf("%q", text)
	}
	hf(t, 0, "queue", "put", name+"/jobs", "x")
	if text := hf(t, 0, "why", name+"/jobs"); text != "free" {
		t.Errorf("%q", text)
	}
	hf(t, 0, "queue", "pause", name+"/jobs")
	if text := hf(t, 0, "why", name+"/jobs"); !strings.Contains(text, "paused") {
		t.Errorf("%q", text)
	}
}

// TestWhyOfSchedulesAndLimits: a paused schedule names the pause, with or without a replica, and a
// limit names the time from which tokens are added, and never a process that has some.
func TestWhyOfSchedulesAndLimits(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hf(t, 0, "cron", "pause", name+"/job", "--reason", "a migration")
	if text := hf(t, 0, "why", name+"/job"); !strings.Contains(text, "resumed") ||
		!strings.Contains(text, ": a migration") {
		t.Errorf("paused: %q", text)
	}
	if text := hf(t, 0, "info", name+"/job"); !strings.Contains(text, "cron "+name+"/job\npause: ") {
		t.Errorf("info: %q", text)
	}
	hf(t, 0, "cron", "resume", name+"/job")
	if text := hf(t, 0, "why", name+"/job"); text != "free" {
		t.Errorf("resumed: %q", text)
	}
	hf(t, 0, "limit", name+"/limit", "--rate", "1/h")
	got := rows(t, "why", name+"/limit")[0]
	needs, _ := got["needs"].([]any)
	if len(needs) != 1 || !strings.HasPrefix(needs[0].(string), "a token has to be there: ") {
		t.Errorf("limit: %v", got)
	}
	start(t, "limit", name+"/limit", "--rate", "1/h")
	awaitMembers(t, name+"/limit", 1)
	if text := hf(t, 0, "why", name+"/limit"); strings.Contains(text, "released") {
		t.Errorf("with a process that waits: %q", text)
	}
}

// TestHistoryOfAnUnusedNameNamesNoRevisionZero: etcd has no revision 0.
func TestHistoryOfAnUnusedNameNamesNoRevisionZero(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	text := complain(t, 1, "history", name)
	if !strings.Contains(text, "nobody held") || strings.Contains(text, "since revision 0") {
		t.Errorf("%q", text)
	}
}
