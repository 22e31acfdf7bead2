package cli_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// asFirst starts holdfast as the first process of a PID namespace, as in a container. It skips the
// test if that is not permitted.
func asFirst(t *testing.T, args ...string) *running {
	t.Helper()
	space := []string{"--pid", "--fork", "--kill-child", "--mount-proc"}
	if out, err := exec.Command("unshare", append(space, "true")...).CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	return launch(t, "unshare", nil, nil, append(append(space, program), args...)...)
}

// zombies prints the number of zombies that the shell can see.
const zombies = `grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l`

// TestTheFirstProcessReapsOrphans: as the first process, holdfast reaps the orphans of its command.
func TestTheFirstProcessReapsOrphans(t *testing.T) {
	t.Parallel()
	r := asFirst(t, "lock", fresh(t), "--", "sh", "-c",
		`for i in 1 2 3 4 5; do sh -c 'sleep 0.05 &'; done; sh -c 'sleep 0.05 & echo $!'; echo $$ $PPID;
		 i=0; while [ $(ls -d /proc/[0-9]* | wc -l) -gt 4 ] && [ $i -lt 200 ]; do
			sleep 0.05; i=$((i+1)); done; `+zombies)
	r.line()
	if parents := strings.Fields(r.line()); len(parents) != 2 || parents[1] != "1" {
		t.Fatalf("the parent is %v", parents)
	}
	if n := r.line(); n != "0" {
		t.Errorf("%s zombies", n)
	}
	r.want(0)
}

// TestTheFirstProcessEndsItsCommandInTime: a loss ends the command as fast as elsewhere. The group
// is empty only after all of it has been reaped, which only the first process can do.
func TestTheFirstProcessEndsItsCommandInTime(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	// The group has an orphan, and obeys SIGTERM.
	const script = `sh -c 'sleep 1000 & echo $!'; echo ready; exec sleep 1000`
	for _, tt := range []struct {
		how   string
		start func(*testing.T, ...string) *running
	}{{"first", asFirst}, {"other", start}} {
		name := fresh(t)
		r := tt.start(t, "lock", "--ttl", "15", "--grace", "5", name, "--", "sh", "-c", script)
		r.line()
		r.line()
		id, _ := leaseOf(t, c, name)
		began := time.Now()
		if err := c.Revoke(within(t, patience), id); err != nil {
			t.Fatal(err)
		}
		r.want(75)
		took := time.Since(began)
		recipetest.Figure(t,
			"a command ended %v after the lease was revoked, "+
				"under holdfast as %s process", took.Round(time.Millisecond), tt.how)
		if took > 3*time.Second { // the grace is 5 s
			t.Errorf("%s: ended after %v", tt.how, took)
		}
	}
}
