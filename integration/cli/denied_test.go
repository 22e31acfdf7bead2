package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestForeignKeysHideNoReadableMembers: keys that a user may not read do not hide the members that
// the user may read.
func TestForeignKeysHideNoReadableMembers(t *testing.T) {
	t.Parallel()
	options := recipetest.Server(etcdproc.Versions()[0])
	options.ClientCertAuth, options.RootPassword = true, "root-password"
	own := etcdtest.Start(t, options)
	cert, key, err := own.PKI().ClientFiles("cli", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, patience)
	root := recipetest.NewClient(t, gateway.Config{
		Endpoints: own.Endpoints(), TLS: own.PKI().ClientTLS(""), Username: "root",
		Password: "root-password",
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for user, prefixes := range map[string][]string{
		"worker": {"holdfast/sessions/", "jobs/"}, "nobody": nil,
	} {
		must(root.Auth().RoleAdd(ctx, user))
		must(root.Auth().UserAdd(ctx, user, "password"))
		must(root.Auth().UserGrantRole(ctx, user, user))
		for _, prefix := range prefixes {
			must(root.Auth().RoleGrantPermission(ctx, user, gateway.PermReadWrite,
				prefix, gateway.Prefix()))
		}
	}
	lease, err := root.Grant(ctx, 0, 10*time.Minute)
	must(err)
	_, err = root.Put(ctx, "foreign", []byte("x"), gateway.WithLease(lease.ID))
	must(err)
	run := func(user string, args ...string) *running {
		return launch(t, program, []string{
			"ETCDCTL_ENDPOINTS=" + own.Endpoints()[0],
			"ETCDCTL_CACERT=" + own.PKI().CAFile, "ETCDCTL_CERT=" + cert,
			"ETCDCTL_KEY=" + key, "ETCDCTL_USER=" + user + ":password",
		}, nil, args...)
	}
	run("worker", "lock", "jobs/a").line()
	ls := run("worker", "ls")
	ls.want(0)
	if out := ls.rest(); !strings.Contains(out, "jobs/a") ||
		!strings.Contains(ls.stderr.String(), "may not") {
		t.Errorf("ls: %s, and %s", out, ls.stderr.String())
	}
	doctor := run("worker", "doctor")
	doctor.want(0)
	if out := doctor.rest(); !strings.Contains(out, "1 holders and waiters at 1 names") ||
		!strings.Contains(out, "may not") {
		t.Errorf("doctor: %s", out)
	}
	run("nobody", "ls").want(77)
	run("nobody", "doctor").want(77)

	// A foreign key under the holder's lease hides the keys of that lease from TimeToLive, but the
	// keys can still be read.
	resp, err := root.Get(ctx, "jobs/a/", gateway.Prefix())
	must(err)
	if len(resp.KVs) != 1 {
		t.Fatalf("%d keys of the lock", len(resp.KVs))
	}
	_, err = root.Put(ctx, "foreign to the holder", nil, gateway.WithLease(resp.KVs[0].Lease))
	must(err)
	run("worker", "lock", "jobs/z").line()
	// A foreign key under the lease of another library's program does the same.
	other, err := root.Grant(ctx, 0, 10*time.Minute)
	must(err)
	for _, key := range []string{"jobs/other/" + other.ID.String(), "foreign to the other"} {
		_, err = root.Put(ctx, key, nil, gateway.WithLease(other.ID))
		must(err)
	}
	for from := 0; from < 2500; from += 100 { // the items of a queue sort before jobs/z
		var items gateway.Txn
		for i := range 100 {
			items.Then = append(items.Then,
				gateway.OpPut(fmt.Sprintf("jobs/q//q/5/%016d", from+i), []byte("x")))
		}
		_, err = root.Txn(ctx, items)
		must(err)
	}
	all := []string{"jobs/a", "jobs/other", "jobs/z"}
	for _, tt := range []struct {
		args, names []string
	}{
		{[]string{"ls"}, all},
		{[]string{"ls", "jobs/"}, all},
		{[]string{"ls", "jobs/a"}, []string{"jobs/a"}},
		{[]string{"--namespace", "jobs/", "ls"}, []string{"a", "other", "z"}},
		{[]string{"--namespace", "jobs/", "ls", "z"}, []string{"z"}},
	} {
		r := run("worker", append([]string{"--json"}, tt.args...)...)
		r.want(0)
		var names []string
		for line := range strings.Lines(r.rest()) {
			var row struct{ Name, State string }
			must(json.Unmarshal([]byte(line), &row))
			if row.State != "holds" {
				t.Errorf("%v: %s", tt.args, line)
			}
			names = append(names, row.Name)
		}
		if !slices.Equal(names, tt.names) {
			t.Errorf("%v: %q, want %q", tt.args, names, tt.names)
		}
		if !strings.Contains(r.stderr.String(), "may not") {
			t.Errorf("%v says nothing of what is hidden: %s", tt.args, r.stderr.String())
		}
	}
	doctor = run("worker", "doctor")
	doctor.want(0)
	if out := doctor.rest(); !strings.Contains(out, "3 holders and waiters at 3 names") {
		t.Errorf("doctor: %s", out)
	}
}
