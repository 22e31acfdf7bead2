package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTheCommandRunsUnderTheLock: the command runs under the lock, with the right environment,
// input and status.
func TestTheCommandRunsUnderTheLock(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	r := launch(t, program, nil, strings.NewReader("from outside\n"), "lock", name, "--", "sh",
		"-c",
		`cat; echo "$HOLDFAST_KEY $HOLDFAST_FENCE $ETCD_LOCK_KEY $ETCD_LOCK_REV `+
			`$HOLDFAST_DEADLINE"; exit 7`)
	if l := r.line(); l != "from outside" {
		t.Errorf("input: %q", l)
	}
	env := strings.Fields(r.line())
	r.want(7)
	if len(env) != 5 || !strings.HasPrefix(env[0], name+"/") || env[0] != env[2] ||
		env[1] != env[3] || env[1] < "1" {
		t.Errorf("environment: %q", env)
	}
	if end, err := time.Parse(time.RFC3339Nano, env[4]); err != nil ||
		time.Until(end) > 15*time.Second {
		t.Errorf("deadline %s, %v", env[4], err)
	}
	if text := r.stderr.String(); text != "" {
		t.Errorf("it said %q", text)
	}
	awaitMembers(t, name, 0)

	for script, code := range map[string]int{
		"exit 0": 0, "exit 255": 255, "kill -KILL $$": 128 + 9,
		"kill -TERM $$": 128 + 15,
	} {
		hf(t, code, "lock", name, "--", "sh", "-c", script)
	}
	later := strings.Fields(hf(t, 0, "lock", name, "--", "sh", "-c", `echo "$HOLDFAST_FENCE"`))
	if len(later) != 1 || len(later[0]) < len(env[1]) ||
		len(later[0]) == len(env[1]) && later[0] <= env[1] {
		t.Errorf("fence %v after %s", later, env[1])
	}
}

// hold starts holdfast lock without a command, and waits until it has the lock.
func hold(t *testing.T, args ...string) *running {
	t.Helper()
	r := start(t, append([]string{"lock"}, args...)...)
	r.line()
	return r
}

// TestWithoutACommandTheLockIsHeldUntilASignal: without a command, the key is printed and the lock
// is held until a signal arrives.
func TestWithoutACommandTheLockIsHeldUntilASignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		name := fresh(t)
		r := start(t, "lock", name)
		if key := r.line(); !strings.HasPrefix(key, name+"/") {
			t.Errorf("printed %q", key)
		}
		hf(t, 1, "lock", "-n", name, "--", "true")
		r.signal(sig)
		r.want(0)
		awaitMembers(t, name, 0)
	}
	name := fresh(t)
	r := start(t, "lock", "--json", name)
	if l := r.line(); !strings.Contains(l, `"keys":["`+name+"/") ||
		!strings.Contains(l, `"fence":`) {
		t.Errorf("printed %q", l)
	}
	r.signal(syscall.SIGTERM)
	r.want(0)
}

// TestALockThatIsNotAcquiredRunsNoCommand: if the lock is not acquired, the status is 1, or the
// value of -E, and no command runs.
func TestALockThatIsNotAcquiredRunsNoCommand(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	held := hold(t, name)
	file := filepath.Join(t.TempDir(), "ran")
	for _, tt := range []struct {
		code int
		args []string
	}{
		{1, []string{"-n"}},
		{9, []string{"-n", "-E", "9"}},
		{0, []string{"-n", "-E", "0"}},
		{1, []string{"-w", "1.5"}},
		{4, []string{"-w", "1500ms", "-E", "4"}},
		{1, []string{"-n", "-s"}},
		{1, []string{"-n", name + "-other"}},
	} {
		args := append(append([]string{"lock", name}, tt.args...), "--", "touch", file)
		if text := complain(t, tt.code, args...); !strings.Contains(text, name) {
			t.Errorf("%v: %s", tt.args, text)
		}
	}
	awaitMembers(t, name, 1)
	awaitMembers(t, name+"-other", 0)
	if _, err := os.Stat(file); err == nil {
		t.Error("a command ran without the lock")
	}
	next := start(t, "lock", name, "-w", "20", "--", "echo", "mine")
	awaitMembers(t, name, 2)
	held.signal(syscall.SIGTERM)
	held.want(0)
	if l := next.line(); l != "mine" {
		t.Errorf("the next printed %q", l)
	}
	next.want(0)
}

// TestReadersShareAndAWriterDoesNot: readers share, a writer does not.
func TestReadersShareAndAWriterDoesNot(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hold(t, "-s", name)
	hf(t, 0, "lock", "-s", "-n", name, "--", "true")
	hf(t, 0, "lock", "-s", name, "--", "true")
	hf(t, 1, "lock", "-n", name, "--", "true")
}

// TestAllOfSeveralLocksAreAcquiredOrNone: all of several locks are acquired, or none.
func TestAllOfSeveralLocksAreAcquiredOrNone(t *testing.T) {
	t.Parallel()
	a, b := fresh(t), fresh(t)
	for _, flags := range [][]string{{}, {"-n"}} {
		r := start(t,
			append(append([]string{"lock", a, b}, flags...), "--", "sh", "-c",
				`echo "$HOLDFAST_KEY"; read x`)...)
		if first, second := r.line(), r.line(); !strings.HasPrefix(first, a+"/") ||
			!strings.HasPrefix(second, b+"/") {
			t.Errorf("keys %q, %q", first, second)
		}
		r.want(1) // read has reached the end of the input
	}
	r := start(t, "lock", a, b, "--")
	r.line()
	r.line()
	hf(t, 1, "lock", "-n", a, "--", "true")
	hf(t, 1, "lock", "-n", b, "--", "true")
	hf(t, 1, "lock", "-n", fresh(t), b, "--", "true")
	r.signal(syscall.SIGTERM)
	r.want(0)
	hf(t, 0, "lock", "-n", b, a, "--", "true")
}

// TestTheNextHolderWaitsForTheLockDelay: after a holder was killed, the next waits until its lease
// expires, and then for the delay.
func TestTheNextHolderWaitsForTheLockDelay(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	held := hold(t, name, "--ttl", "2", "--lock-delay", "3")
	next := start(t, "lock", name, "--lock-delay", "3", "--", "true")
	awaitMembers(t, name, 2)
	held.signal(syscall.SIGKILL)
	held.want(128 + 9)
	awaitMembers(t, name, 1)
	free := time.Now()
	next.want(0)
	// the watch may report it earlier than the reads above
	if took := time.Since(free); took < 2500*time.Millisecond {
		t.Errorf("the next had the lock %v after it was free", took)
	}
}

// TestTwentyProcessesLoseNoUpdate: twenty processes increment a counter without losing an update.
func TestTwentyProcessesLoseNoUpdate(t *testing.T) {
	t.Parallel()
	name, file := fresh(t), filepath.Join(t.TempDir(), "counter")
	if err := os.WriteFile(file, []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const processes, rounds = 20, 3
	script := fmt.Sprintf("counter=$(cat %[1]s); sleep 0.01; echo $((counter+1)) >%[1]s", file)
	for range rounds {
		var all []*running
		for range processes {
			all = append(all, start(t, "lock", name, "--", "sh", "-c", script))
		}
		for _, r := range all {
			r.want(0)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(processes*rounds) {
		t.Errorf("counted %q, %v", text, err)
	}
}
