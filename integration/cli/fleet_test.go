package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/member"
)

// awaitGroup waits until a group has n members.
func awaitGroup(t *testing.T, name string, n int) {
	t.Helper()
	eventually(t, "members", func() bool {
		v, err := member.Members(t.Context(), newClient(t), name)
		return err == nil && len(v.Members) == n
	})
}

// TestMemberJoin: a member is shown while its command runs, and returns when its key is deleted.
func TestMemberJoin(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	if text := complain(t, 1, "members", name); !strings.Contains(text, "no members") {
		t.Errorf("%s", text)
	}
	r := start(t, "member", "join", name, "--id", "a", "--value", "10.0.0.7", "--zone", "z",
		"--weight", "2", "--", "sh", "-c",
		`echo $HOLDFAST_MEMBER; trap "exit 3" TERM; while :; do sleep 0.05; done`)
	if got := r.line(); got != "a" {
		t.Errorf("printed %q", got)
	}
	text := complain(t, 1, "member", "join", name, "--id", "a", "--", "true")
	if !strings.Contains(text, "taken by") {
		t.Errorf("a second member: %s", text)
	}
	for range 2 {
		list := hf(t, 0, "members", name)
		object := hf(t, 0, "members", name, "--json")
		if !strings.Contains(list, "10.0.0.7") || !strings.Contains(object, `"id":"a"`) ||
			!strings.Contains(object, `"zone":"z"`) || !strings.Contains(object, `"weight":2`) {
			t.Errorf("listed %s, %s", list, object)
		}
		if _, err := newClient(t).Delete(t.Context(), member.KeyOf(name, "a")); err != nil {
			t.Fatal(err)
		}
		awaitGroup(t, name, 1)
	}
	r.signal(syscall.SIGTERM)
	r.want(3)
	awaitGroup(t, name, 0)
	hf(t, 5, "member", "join", name, "--", "sh", "-c", "exit 5")
	hf(t, 127, "member", "join", name, "--", "no-such-command")
	complain(t, 64, "member", "join", name, "--weight", "0", "--", "true")
	complain(t, 64, "member", "join", name+"//x", "--", "true")
}

// TestMembersWatch: every change is listed, until a signal.
func TestMembersWatch(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	watch := start(t, "members", "--watch", "--json", name)
	if got := watch.line(); !strings.Contains(got, `"members":[]`) {
		t.Errorf("printed %s", got)
	}
	first := start(t, "member", "join", name, "--id", "a", "--value", "first")
	if got := first.line(); got != member.KeyOf(name, "a") {
		t.Errorf("printed %s", got)
	}
	if got := watch.line(); !strings.Contains(got, `"value":"first"`) {
		t.Errorf("printed %s", got)
	}
	second := start(t, "member", "join", name, "--id", "a", "--value", "second", "--take-over")
	first.want(75)
	if text := first.stderr.String(); strings.Count(text, "replaced by another member") != 1 {
		t.Errorf("it said %q", text)
	}
	if got := watch.line(); !strings.Contains(got, `"value":"second"`) {
		t.Errorf("printed %s", got)
	}
	second.signal(syscall.SIGTERM)
	second.want(0)
	if got := watch.line(); !strings.Contains(got, `"members":[]`) {
		t.Errorf("printed %s", got)
	}
	watch.signal(syscall.SIGINT)
	watch.want(0)
}

// TestShardRun: two members divide the shards. The commands of one that is terminated end, and run
// at the other one.
func TestShardRun(t *testing.T) {
	t.Parallel()
	name, dir := fresh(t), t.TempDir()
	complain(t, 1, "shards", name)
	// A directory per shard is a lock of the test: mkdir fails while another command has it.
	script := `mkdir ` + dir + `/$HOLDFAST_SHARD || { echo overlap >> ` + dir + `/fault; exit 9; }
		trap "rmdir ` + dir + `/$HOLDFAST_SHARD; exit 0" TERM; while :; do sleep 0.02; done`
	run := func(id string) *running {
		return start(t, "shard", "run", name, "--shards", "4", "--id", id, "--value", "at "+id,
			"--", "sh", "-c", script)
	}
	owned := func(id string, n int) {
		t.Helper()
		eventually(t, "shards of "+id, func() bool {
			r := start(t, "shards", name, "--json")
			r.wait()
			return strings.Count(r.rest(), `"owner":"`+id+`"`) == n
		})
	}
	a := run("a")
	owned("a", 4)
	b := run("b")
	owned("b", 2)
	if list := hf(t, 0, "shards", name); !strings.Contains(list, "at b") ||
		!strings.Contains(list, "NEXT") {
		t.Errorf("listed %s", list)
	}
	text := complain(t, 64, "shard", "run", name, "--shards", "5", "--", "true")
	if !strings.Contains(text, "4") {
		t.Errorf("%s", text)
	}
	if list := hf(t, 0, "ls", name); strings.Contains(list, "shards") {
		t.Errorf("ls listed %s", list)
	}
	complain(t, 64, "shard", "pause", name, "4", "--reason", "there is none")
	hf(t, 0, "shard", "pause", name, "2", "--reason", "a bad tenant")
	if list := hf(t, 0, "shards", name); !strings.Contains(list, "paused: a bad tenant") {
		t.Errorf("listed %s", list)
	}
	hf(t, 0, "shard", "resume", name, "2")
	hf(t, 0, "shard", "drain", name, "a", "--reason", "a new disk")
	owned("b", 4)
	if list := hf(t, 0, "shards", name); !strings.Contains(list, "drained: a new disk") {
		t.Errorf("listed %s", list) // a has no shards, and is drained until undrain
	}
	hf(t, 0, "shard", "undrain", name, "a")
	owned("a", 2)
	for _, wrong := range [][]string{
		{"pause", name, "2"},
		{"pause", name, "x", "--reason", "r"},
		{"drain", name, "a"},
		{"resume", name},
	} {
		complain(t, 64, append([]string{"shard"}, wrong...)...)
	}
	a.signal(syscall.SIGTERM)
	a.want(0)
	owned("b", 4)
	eventually(t, "commands", func() bool {
		all, err := filepath.Glob(dir + "/[0-3]")
		return err == nil && len(all) == 4
	})
	b.signal(syscall.SIGTERM)
	b.want(0)
	if all, err := filepath.Glob(dir + "/*"); err != nil || len(all) > 0 {
		t.Errorf("%q are left, %v", all, err)
	}
}

// TestShardRunFails: the status of a command that fails is the status of holdfast.
func TestShardRunFails(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hf(t, 3, "shard", "run", name, "--shards", "2", "--", "sh", "-c",
		`[ $HOLDFAST_SHARD = 0 ] && exit 3; sleep 60`)
	// A command that ignores SIGTERM is killed after --grace.
	begun := filepath.Join(t.TempDir(), "begun")
	r := start(t, "shard", "run", name, "--shards", "2", "--grace", "100ms", "--", "sh", "-c",
		`trap "" TERM; touch `+begun+`$HOLDFAST_SHARD; while :; do sleep 0.05; done`)
	eventually(t, "start", func() bool {
		_, zero := os.Stat(begun + "0")
		_, one := os.Stat(begun + "1")
		return zero == nil && one == nil
	})
	at := time.Now()
	r.signal(syscall.SIGTERM)
	r.want(0)
	if took := time.Since(at); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	complain(t, 64, "shard", "run", name, "--", "true")
	complain(t, 64, "shard", "run", name, "--shards", "2")
	hf(t, 127, "shard", "run", name, "--shards", "2", "--", "no-such-command")
}
