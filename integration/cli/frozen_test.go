package cli_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// freeze stops the only member of a cluster until the test ends. It waits until the member no
// longer answers, because on a busy machine that takes a moment.
func freeze(t *testing.T, c *etcdtest.Cluster) {
	t.Helper()
	member, client := c.Members()[0], recipetest.NewClient(t, gateway.Config{
		Endpoints: c.Endpoints(),
	})
	if err := member.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = member.Resume() }) // an error means that it was not stopped
	eventually(t, "an etcd that does not answer", func() bool {
		_, err := client.Get(within(t, time.Second), "x")
		return err != nil
	})
}

// TestTwoInterruptsEndAConsumerWhileEtcdIsFrozen: two Ctrl-C end a consumer as fast.
func TestTwoInterruptsEndAConsumerWhileEtcdIsFrozen(t *testing.T) {
	t.Parallel()
	own := etcdtest.Start(t, recipetest.Server(etcdproc.Versions()[0]))
	r := start(t, "--endpoints", own.Endpoints()[0], "--command-timeout", "10m", "queue", "consume",
		"--ttl", "10m", "jobs", "--", "sh", "-c", "cat; echo")
	hf(t, 0, "--endpoints", own.Endpoints()[0], "queue", "put", "jobs", "x")
	r.line()
	freeze(t, own)
	r.signal(syscall.SIGINT)
	began := time.Now()
	eventually(t, "end", func() bool {
		if time.Since(began) > 500*time.Millisecond { // signals closer together count as one
			r.signal(syscall.SIGINT)
		}
		return r.ended()
	})
	r.want(128 + int(syscall.SIGINT))
	if text := r.stderr.String(); !strings.Contains(text, "ended at once by another signal") {
		t.Errorf("it said %q", text)
	}
}

// TestASecondInterruptEndsTheReleaseWhileEtcdIsFrozen: while etcd is frozen, a release takes all of
// --command-timeout. A second Ctrl-C does not wait for it, whether holdfast waits for the lock,
// holds it, or runs a command that the first Ctrl-C has ended.
func TestASecondInterruptEndsTheReleaseWhileEtcdIsFrozen(t *testing.T) {
	t.Parallel()
	own := etcdtest.Start(t, recipetest.Server(etcdproc.Versions()[0]))
	lock := func(name string, more ...string) *running {
		return start(t,
			append([]string{
				"--endpoints", own.Endpoints()[0], "--command-timeout", "10m", "lock",
				"--ttl", "10m", name,
			}, more...)...)
	}
	c := recipetest.NewClient(t, gateway.Config{Endpoints: own.Endpoints()})
	name := fresh(t)
	holder := lock(name)
	holder.line()
	waiter := lock(name, "--", "true")
	runs := lock(fresh(t), "--", "sh", "-c", "echo; exec sleep 1000")
	runs.line()
	eventually(t, "the waiter", func() bool { return len(members(t, c, name)) == 2 })
	freeze(t, own)
	for who, r := range map[string]*running{"holder": holder, "waiter": waiter, "runs": runs} {
		r.signal(syscall.SIGINT)
		began := time.Now()
		eventually(t, "end of the "+who, func() bool {
			if time.Since(began) > 500*time.Millisecond { // signals closer together count as one
				r.signal(syscall.SIGINT)
			}
			return r.ended()
		})
		r.want(128 + int(syscall.SIGINT))
		if text := r.stderr.String(); !strings.Contains(text, "ended at once by another signal") {
			t.Errorf("%s: %q", who, text)
		}
		recipetest.Figure(t, "the %s ended %v after the first Ctrl-C, with etcd frozen",
			who, time.Since(began).Round(time.Millisecond))
	}
}
