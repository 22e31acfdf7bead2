package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestForeignKeysHideLittle: a key outside of the user's role, under another's lease, hides no more than that lease.
func TestForeignKeysHideLittle(t *testing.T) {
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
		Endpoints: own.Endpoints(), TLS: own.PKI().ClientTLS(""), Username: "root", Password: "root-password",
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for user, prefixes := range map[string][]string{"worker": {"holdfast/sessions/", "jobs/"}, "nobody": nil} {
		must(root.RoleAdd(ctx, user))
		must(root.UserAdd(ctx, user, "password"))
		must(root.UserGrantRole(ctx, user, user))
		for _, prefix := range prefixes {
			must(root.RoleGrantPermission(ctx, user, gateway.PermReadWrite, prefix, gateway.Prefix()))
		}
	}
	lease, err := root.Grant(ctx, 0, 10*time.Minute)
	must(err)
	_, err = root.Put(ctx, "foreign", []byte("x"), gateway.WithLease(lease.ID))
	must(err)
	run := func(user string, args ...string) *running {
		return launch(t, program, []string{
			"ETCDCTL_ENDPOINTS=" + own.Endpoints()[0], "ETCDCTL_CACERT=" + own.PKI().CAFile, "ETCDCTL_CERT=" + cert,
			"ETCDCTL_KEY=" + key, "ETCDCTL_USER=" + user + ":password",
		}, nil, args...)
	}
	run("worker", "lock", "jobs/a").line()
	ls := run("worker", "ls")
	ls.want(0)
	if out := ls.rest(); !strings.Contains(out, "jobs/a") || !strings.Contains(ls.stderr.String(), "may not") {
		t.Errorf("ls: %s, and %s", out, ls.stderr.String())
	}
	doctor := run("worker", "doctor")
	doctor.want(0)
	if out := doctor.rest(); !strings.Contains(out, "1 holders and waiters at 1 names") || !strings.Contains(out, "may not") {
		t.Errorf("doctor: %s", out)
	}
	run("nobody", "ls").want(77)
	run("nobody", "doctor").want(77)
}
