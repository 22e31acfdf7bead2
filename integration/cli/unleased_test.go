package cli_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestAWaitOfAReaderLeasesNothing: barrier wait, latch wait and latch left work for a user who may
// only read the name, and have no lease while they wait.
func TestAWaitOfAReaderLeasesNothing(t *testing.T) {
	t.Parallel()
	options := recipetest.Server(etcdproc.Versions()[0])
	options.RootPassword = "root-password"
	own := etcdtest.Start(t, options)
	ctx := within(t, patience)
	root := recipetest.NewClient(t, gateway.Config{
		Endpoints: own.Endpoints(), Username: "root", Password: "root-password",
		AllowPlaintextAuth: true,
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(root.Auth().RoleAdd(ctx, "reader"))
	must(root.Auth().UserAdd(ctx, "reader", "password"))
	must(root.Auth().UserGrantRole(ctx, "reader", "reader"))
	for _, name := range []string{"db/up", "db/ready"} {
		must(root.Auth().RoleGrantPermission(ctx, "reader", gateway.PermRead, name+"/",
			gateway.Prefix()))
	}
	run := func(args ...string) *running {
		return launch(t, program, []string{
			"ETCDCTL_ENDPOINTS=" + own.Endpoints()[0], "ETCDCTL_USER=reader:password",
		}, nil, append([]string{"--plaintext-auth"}, args...)...)
	}
	put := func(key string) {
		t.Helper()
		_, err := root.Put(ctx, key, nil)
		must(err)
	}
	put("db/up//raised")
	for n := range 20 { // of another name, before the keys of the barrier
		put(fmt.Sprintf("db/up/!/%d", n))
	}
	run("barrier", "wait", "db/up", "-w", "0").want(1)
	run("latch", "wait", "db/ready", "--count", "2", "-w", "0").want(1)
	up := run("barrier", "wait", "db/up")
	ready := run("latch", "wait", "db/ready", "--count", "2")
	put("db/ready//count")
	left := run("latch", "left", "db/ready", "--count", "2")
	left.want(0)
	if text := left.rest(); strings.TrimSpace(text) != "1" {
		t.Errorf("%q are left", text)
	}
	eventually(t, "the watches of the two", func() bool { return watchers(t, own) == 2 })
	if up.ended() || ready.ended() {
		t.Error("a wait has ended")
	}
	leases, err := root.Leases(ctx)
	must(err)
	if len(leases) > 0 {
		t.Errorf("leases: %v", leases)
	}
	put("db/ready//count")
	_, err = root.Delete(ctx, "db/up//raised")
	must(err)
	up.want(0)
	ready.want(0)
	run("barrier", "wait", "other").want(77)
}

// watchers returns the first member's count of watchers.
func watchers(t *testing.T, c *etcdtest.Cluster) (n int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		c.Endpoints()[0]+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "etcd_debugging_mvcc_watcher_total %d",
			&n); err == nil {
			return n
		}
	}
	t.Fatal("no such metric")
	return 0
}

// TestAWaitReportsThatEtcdIsAway: a wait without end fails within the command-timeout when etcd
// does not answer at its start.
func TestAWaitReportsThatEtcdIsAway(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"barrier", "wait", "a"},
		{"latch", "wait", "a", "--count", "1"},
		{"latch", "left", "a", "--count", "1"},
	} {
		start(t, append([]string{
			"--endpoints", "http://127.0.0.1:1", "--command-timeout", "1",
		}, args...)...).want(69)
	}
}
