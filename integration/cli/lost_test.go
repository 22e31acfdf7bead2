package cli_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// deaf is a command that ignores SIGTERM, as does its child. It prints the numbers of both.
const deaf = `trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & echo $$ $!; while :; ` +
	`do sleep 0.05; done`

// leaseOf waits for the only member of a line, and returns its lease and the time at which that
// expires.
func leaseOf(t *testing.T, c *gateway.Client, name string) (id gateway.LeaseID, end time.Time) {
	t.Helper()
	awaitMembers(t, name, 1)
	hex := members(t, c, name)[0][len(name)+1:]
	n, err := strconv.ParseInt(hex, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	info, err := c.TimeToLive(within(t, patience), gateway.LeaseID(n), false)
	if err != nil {
		t.Fatal(err)
	}
	// the TTL is rounded down to seconds, so this is no later than the end
	return gateway.LeaseID(n), asked.Add(info.TTL)
}

// TestTheGroupEndsWhenTheLeaseIsRevoked: when the lease is revoked, the whole group is gone before
// the lease would have expired, even if it ignores SIGTERM, and the status says that the lock was
// lost.
func TestTheGroupEndsWhenTheLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, tt := range []struct {
		name, script string
		args         []string
	}{
		{"obeys", `trap 'exit 0' TERM; sleep 100 & echo $$ $!; while :; do wait; done`, nil},
		{"deaf", deaf, nil},
		{"long grace", deaf, []string{"--grace", "3"}},
		{"child only", `trap 'exit 3' TERM; (trap '' TERM; while :; do sleep 0.05; done) & echo ` +
			`$$ $!; while :; do wait; done`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			r := start(t,
				append(append([]string{"lock", "--ttl", "6", name}, tt.args...), "--", "sh", "-c",
					tt.script)...)
			pids := strings.Fields(r.line())
			id, end := leaseOf(t, c, name)
			if err := c.Revoke(within(t, patience), id); err != nil {
				t.Fatal(err)
			}
			r.want(75)
			for _, pid := range pids {
				if alive(t, pid) {
					t.Errorf("process %s is there", pid)
				}
			}
			if late := time.Since(end.Add(time.Second)); late > 0 { // the TTL was rounded down
				t.Errorf("gone %v after the lease's end", late)
			}
			if text := r.stderr.String(); strings.Count(text, "\n") != 1 ||
				!strings.Contains(text, "lost") {
				t.Errorf("it said %q", text)
			}
		})
	}
}

// TestAHolderThatIsCutOffEndsInTime: a holder that is cut off from etcd has ended when the server
// grants the lock to the next. Both print times of the same clock.
func TestAHolderThatIsCutOffEndsInTime(t *testing.T) {
	t.Parallel()
	proxy, err := faultproxy.New(strings.TrimPrefix(cluster.Endpoints()[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	name := fresh(t)
	const last = `trap '' TERM; echo $$; while :; do date +%s%N >&2; sleep 0.01; done`
	r := start(t, "lock", "--ttl", "4", "--endpoints", proxy.URL(), "--command-timeout", "1",
		name, "--", "sh", "-c", last)
	child := r.line()
	next := start(t, "lock", name, "--", "date", "+%s%N")
	awaitMembers(t, name, 2)
	proxy.Blackhole(faultproxy.Up | faultproxy.Down)
	granted := number(t, next.line())
	next.want(0)
	r.want(75)
	if alive(t, child) {
		t.Error("the child is there")
	}
	var worked int64
	for l := range strings.Lines(r.stderr.String()) {
		if l = strings.TrimSpace(l); !strings.HasPrefix(l, "holdfast: ") {
			worked = number(t, l)
		}
	}
	if worked == 0 || worked >= granted {
		t.Errorf("worked until %d, the next was granted the lock at %d", worked, granted)
	}
	recipetest.Figure(t,
		"a command that ignores SIGTERM was gone %v before the next had the lock, "+
			"TTL 4s", time.Duration(granted-worked).Round(time.Millisecond))
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestALossIsReportedWithoutACommand: a verb that holds a lock without a command reports the loss
// too.
func TestALossIsReportedWithoutACommand(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, verb := range [][]string{{"lock"}, {"semaphore", "--limit", "1"}} {
		name := fresh(t)
		r := start(t, append(verb, name)...)
		r.line()
		id, _ := leaseOf(t, c, name)
		if err := c.Revoke(within(t, patience), id); err != nil {
			t.Fatal(err)
		}
		r.want(75)
	}
}
