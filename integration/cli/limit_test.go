package cli_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLimit: as many calls as the burst run their commands at once, and others wait, or say that
// they would have to.
func TestLimit(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	args := func(more ...string) []string {
		return append([]string{"limit", name, "--rate", "2/h"}, more...)
	}
	r := start(t, args("--", "sh", "-c", "echo $0 $PPID; exit 7", "arg")...)
	r.want(7)
	if got := r.rest(); got != "arg "+strconv.Itoa(syscall.Getpid()) {
		t.Errorf("printed %q", got) // the command is a child of this process, so it has replaced holdfast
	}
	hf(t, 0, args("-n")...)
	begun := time.Now()
	complain(t, 1, args("-n", "--", "echo", "no")...)
	complain(t, 9, args("-w", "0", "-E", "9")...)
	if text := complain(t, 1, args("-w", "600")...); !strings.Contains(text, "available in") {
		t.Errorf("it said %q", text)
	}
	if d := time.Since(begun); d > time.Minute { // and not after ten
		t.Errorf("refused after %v", d)
	}
	// Each that waits has a token of its own, which goes back when it gives up.
	var waiting []*running
	for range 2 {
		waiting = append(waiting, start(t, args("--", "echo", "no")...))
	}
	bucket := func() (out string) {
		resp, err := newClient(t).Get(within(t, patience), name+"//bucket")
		if err != nil {
			t.Fatal(err)
		}
		return string(resp.KVs[0].Value)
	}
	eventually(t, "waiters", func() bool { return strings.Contains(bucket(), `"out":2`) })
	waiting[0].signal(syscall.SIGTERM)
	waiting[0].want(128 + 15)
	eventually(t, "the token back", func() bool { return strings.Contains(bucket(), `"out":1`) })
	waiting[1].signal(syscall.SIGKILL)
	waiting[1].want(128 + 9)
}

// TestLimitedRate: commands of many processes start at the rate.
func TestLimitedRate(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	begun := time.Now()
	var all []*running
	for range 8 {
		all = append(all, start(t, "limit", name, "--rate", "5/s", "--burst", "1", "--", "true"))
	}
	for _, r := range all {
		r.want(0)
	}
	if d := time.Since(begun); d < 7*200*time.Millisecond {
		t.Errorf("8 commands in %v", d)
	}
	awaitMembers(t, name, 0)
}

// TestLimitUsage: a rate, a number or a name that cannot be used is an error.
func TestLimitUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"a"},
		{"a", "b", "--rate", "1/s"},
		{"a", "--rate", "1"},
		{"a", "--rate", "1/s", "--tokens", "2"},
		{"a", "--rate", "1/s", "--tokens", "0"},
		{"a", "--rate", "1/s", "--burst", "-1"},
		{"a//", "--rate", "1/s"},
		{"a", "--rate", "1/s", "-n", "-w", "1"},
		{"a", "--rate", "1/999999h", "--burst", "999999"},
	} {
		complain(t, 64, append([]string{"limit"}, args...)...)
	}
	hf(t, 127, "limit", "a", "--rate", "1/s", "--", "no-such-command")
}
