package cli_test

import (
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/mutex"
)

// TestADetachedLockOutlivesTheProgram: its token renews and unlocks it, once, and the library takes
// it as well.
func TestADetachedLockOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	token := hf(t, 0, "lock", "--detach", "--for", "1m", name)
	complain(t, 1, "lock", "-n", name, "--", "true")
	for _, verb := range []string{"info", "ls"} {
		if text := hf(t, 0, verb, name); !strings.Contains(text, "detached") ||
			!strings.Contains(text, "lock") || strings.Contains(text, "election") {
			t.Errorf("%s: %s", verb, text)
		}
	}
	if text := hf(t, 0, "why", name); !strings.Contains(text, "held by nobody: the lock is detached") {
		t.Errorf("why: %s", text)
	}
	for _, f := range rows(t, "doctor", name) {
		if f["check"] == "leftovers" && f["level"] != "ok" {
			t.Errorf("doctor: %v", f)
		}
	}
	hf(t, 0, "renew", token, "--for", "2m")
	next := start(t, "lock", name, "--", "echo", "next")
	awaitMembers(t, name, 2)
	hf(t, 0, "unlock", token)
	if out := next.line(); out != "next" {
		t.Errorf("the next printed %q", out)
	}
	next.want(0)
	complain(t, 1, "unlock", token)
	complain(t, 1, "renew", token)

	token = rows(t, "lock", "--detach", name)[0]["token"].(string)
	adopted, err := mutex.Adopt(within(t, patience), newSession(t), mutex.Token(token))
	if err != nil {
		t.Fatal(err)
	}
	if text := hf(t, 0, "ls", name); !strings.Contains(text, "holds") {
		t.Errorf("ls of an adopted lock: %s", text)
	}
	complain(t, 1, "unlock", token)
	if err := adopted.Unlock(within(t, patience)); err != nil {
		t.Error(err)
	}
}

// TestDetachIsRefused beside flags and arguments that exclude it.
func TestDetachIsRefused(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	for _, args := range [][]string{
		{"lock", "--detach", name, "--", "true"},
		{"lock", "--detach", name, name + "2"},
		{"lock", "--detach", "-s", name},
		{"lock", "--detach", "--max-hold", "1m", name},
		{"lock", "--detach", "--for", "0.1", name},
		{"lock", "--for", "1m", name},
		{"renew", "no-token"},
		{"unlock", "no-token"},
		{"unlock"},
	} {
		complain(t, 64, args...)
	}
	hf(t, 0, "lock", "-n", name, "--", "true")
}
