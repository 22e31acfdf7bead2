package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// rare is a schedule whose ticks no test meets.
const rare = "0 0 29 2 *"

// logged returns the lines of a file that the commands of a test write.
func logged(path string) (all []string) {
	text, _ := os.ReadFile(path) // which may not exist yet
	return strings.Fields(string(text))
}

// TestCronRunsEachTickOnce: two processes share the ticks of a schedule, and end at a signal.
func TestCronRunsEachTickOnce(t *testing.T) {
	t.Parallel()
	name, log := fresh(t), filepath.Join(t.TempDir(), "ticks")
	script := "echo $HOLDFAST_SCHEDULED >> " + log
	var all []*running
	for range 2 {
		all = append(all, start(t, "cron", name, "--every", "200ms", "--", "sh", "-c", script))
	}
	awaitMembers(t, name, 2)
	eventually(t, "ticks", func() bool { return len(logged(log)) >= 5 })
	for i, r := range all {
		r.signal(syscall.SIGTERM)
		r.want(0)
		if i == 0 {
			before := len(logged(log))
			eventually(t, "ticks of the other", func() bool { return len(logged(log)) >= before+3 })
		}
	}
	ticks := logged(log)
	if sorted := slices.Sorted(slices.Values(ticks)); len(slices.Compact(sorted)) != len(ticks) {
		t.Errorf("ticks %q", ticks)
	}
	history := rows(t, "cron", "history", name, "--json")
	if len(history) != len(ticks) || history[0]["scheduled"] != ticks[len(ticks)-1] {
		t.Errorf("history %v, ticks %q", history, ticks)
	}
}

// TestCronKilled: another process runs the tick again.
func TestCronKilled(t *testing.T) {
	t.Parallel()
	name, log := fresh(t), filepath.Join(t.TempDir(), "ticks")
	script := "echo $HOLDFAST_ATTEMPT >> " + log + "; test $HOLDFAST_ATTEMPT -gt 1 || sleep 60"
	args := []string{"cron", "--ttl", "2s", name, rare, "--", "sh", "-c", script}
	first := start(t, args...)
	awaitMembers(t, name, 1)
	second := start(t, args...)
	awaitMembers(t, name, 2)
	hf(t, 0, "cron", "trigger", name, "--reason", "a test")
	eventually(t, "start", func() bool { return len(logged(log)) == 1 })
	first.signal(syscall.SIGKILL)
	eventually(t, "second attempt", func() bool {
		return slices.Equal(logged(log), []string{"1", "2"})
	})
	second.signal(syscall.SIGTERM)
	second.want(0)
}

// TestCronTimeout: the command is ended, and the history has the reason.
func TestCronTimeout(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	runner := start(t, "cron", "--timeout", "500ms", "--grace", "100ms", "--max-attempts", "1", name,
		rare, "--", "sleep", "60")
	hf(t, 0, "cron", "trigger", name, "--reason", "a test")
	eventually(t, "end", func() bool {
		history := rows(t, "cron", "history", name, "--json")
		return len(history) == 1 && history[0]["ended"] != nil &&
			strings.Contains(history[0]["error"].(string), "--timeout")
	})
	runner.signal(syscall.SIGTERM)
	runner.want(0)
	if text := runner.stderr.String(); !strings.Contains(text, "attempt 1: the command has reached") {
		t.Errorf("%s", text)
	}
}

// TestCronFails: a command that fails is run again, and the history has its status.
func TestCronFails(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	runner := start(t, "cron", "--max-attempts", "2", name, "@yearly", "--", "sh", "-c", "exit 3")
	hf(t, 0, "cron", "trigger", name, "--reason", "a test")
	eventually(t, "end", func() bool {
		history := rows(t, "cron", "history", name, "--json")
		return len(history) == 1 && history[0]["ended"] != nil && history[0]["attempt"] == 2. &&
			history[0]["error"] == "the command ended with status 3"
	})
	runner.signal(syscall.SIGTERM)
	runner.want(0)
	text := hf(t, 0, "cron", "history", name)
	for _, part := range []string{"SCHEDULED", "status 3", ": a test"} {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %s", text, part)
		}
	}
}

// TestCronFinishesItsCommand: the first signal lets the command finish, and a second one is
// forwarded.
func TestCronFinishesItsCommand(t *testing.T) {
	t.Parallel()
	for _, signals := range []int{1, 2} {
		name, dir := fresh(t), t.TempDir()
		begun, done := filepath.Join(dir, "begun"), filepath.Join(dir, "done")
		if err := syscall.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
			t.Fatal(err)
		}
		runner := start(t, "cron", name, rare, "--", "sh", "-c",
			"touch "+begun+"; read x < "+filepath.Join(dir, "go")+"; touch "+done)
		hf(t, 0, "cron", "trigger", name, "--reason", "a test")
		eventually(t, "start", func() bool { _, err := os.Stat(begun); return err == nil })
		runner.signal(syscall.SIGTERM)
		if signals == 1 {
			awaitMembers(t, name, 1)
			if err := os.WriteFile(filepath.Join(dir, "go"), []byte("\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "end", func() bool {
			if signals == 2 {
				runner.signal(syscall.SIGTERM)
			}
			return runner.ended()
		})
		runner.want(0)
		if _, err := os.Stat(done); (err == nil) != (signals == 1) {
			t.Errorf("%d signals: %v", signals, err)
		}
		history := rows(t, "cron", "history", name, "--json")
		if len(history) != 1 || (history[0]["ended"] != nil) != (signals == 1) {
			t.Errorf("%d signals: history %v", signals, history)
		}
	}
}

// TestCronIsOperated: pause, resume, and a tick by hand.
func TestCronIsOperated(t *testing.T) {
	t.Parallel()
	name, log := fresh(t), filepath.Join(t.TempDir(), "ticks")
	hf(t, 0, "cron", "resume", name)
	hf(t, 0, "cron", "pause", name, "--reason", "a migration")
	hf(t, 0, "cron", "trigger", name, "--reason", "a test")
	complain(t, 1, "cron", "trigger", name, "--reason", "another")
	runner := start(t, "cron", name, "--every", "100ms", "--", "sh", "-c", "echo tick >> "+log)
	eventually(t, "the tick by hand", func() bool { return len(logged(log)) == 1 })
	history := rows(t, "cron", "history", name, "--json")
	if len(history) != 1 || history[0]["trigger"] == nil {
		t.Errorf("history %v", history)
	}
	hf(t, 0, "cron", "resume", name)
	eventually(t, "ticks", func() bool { return len(logged(log)) >= 3 })
	if list := rows(t, "ls", name, "--json"); len(list) != 1 || list[0]["recipe"] != "cron" {
		t.Errorf("ls: %v", list)
	}
	if text := complain(t, 64, "cron", name, rare, "--", "true"); !strings.Contains(text, rare) ||
		!strings.Contains(text, "@every 100ms") {
		t.Errorf("%s", text)
	}
	runner.signal(syscall.SIGINT)
	runner.want(0)
}

func TestCronUsage(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	for _, args := range [][]string{
		{},
		{name},
		{name, rare},
		{name, "--", "true"},
		{name, "--every", "1s"},
		{name, rare, "--every", "1s", "--", "true"},
		{name, "0 2 * *", "--", "true"},
		{name, "@every 1s", "--", "true"},
		{name, "CRON_TZ=UTC " + rare, "--", "true"},
		{name, "TZ=UTC", "--", "true"},
		{name, "", "--", "true"},
		{name, rare, "--timezone", "Mars", "--", "true"},
		{name, rare, "--timezone", "Local", "--", "true"},
		{name, rare, "--missed", "some", "--", "true"},
		{name, rare, "--max-attempts", "0", "--", "true"},
		{name, rare, "--timeout", "1s", "--", "true"},
		{name + "/", rare, "--", "true"},
		{"pause", name},
		{"trigger", name, "--reason", " "},
		{"history", name, "--last", "0"},
		{"history", name + "/"},
	} {
		complain(t, 64, append([]string{"cron"}, args...)...)
	}
	hf(t, 127, "cron", name, rare, "--", "no-such-command")
	if text := hf(t, 0, "cron", "history", name); !strings.HasPrefix(text, "SCHEDULED") {
		t.Errorf("%s", text)
	}
}
