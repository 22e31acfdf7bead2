package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestVerbsOutliveRenewedFilesAndPasswords: certificates, keys, authority and password are replaced
// while verbs run, and etcd rejects the old ones. A lock stays held, and a queue is consumed.
func TestVerbsOutliveRenewedFilesAndPasswords(t *testing.T) {
	t.Parallel()
	o := recipetest.Server(etcdproc.Versions()[0])
	o.ClientCertAuth, o.RootPassword = true, "one"
	own := etcdtest.Start(t, o)
	old, dir := own.PKI(), t.TempDir()
	ca, cert := filepath.Join(dir, "ca"), filepath.Join(dir, "cert")
	key, password := filepath.Join(dir, "key"), filepath.Join(dir, "password")
	replace := func(to string, text []byte) {
		t.Helper()
		err := os.WriteFile(to+".new", text, 0o600)
		if err == nil {
			err = os.Rename(to+".new", to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copied := func(to, from string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		replace(to, text)
	}
	install := func(p *etcdproc.PKI, secret string) {
		t.Helper()
		newCert, newKey, err := p.ClientFiles("cli", "")
		if err != nil {
			t.Fatal(err)
		}
		copied(ca, p.CAFile)
		copied(cert, newCert)
		copied(key, newKey)
		replace(password, []byte(secret+"\n"))
	}
	as := func(p *etcdproc.PKI, secret gateway.Secret) *gateway.Client {
		return recipetest.NewClient(t, gateway.Config{
			Endpoints: own.Endpoints(), TLS: p.ClientTLS(""), Username: "root", Password: secret,
		})
	}
	run := func(args ...string) *running {
		return launch(t, program, nil, nil, append([]string{
			"--endpoints", own.Endpoints()[0], "--cacert", ca, "--cert", cert, "--key", key,
			"--user", "root", "--password-file", password,
		}, args...)...)
	}
	install(old, "one")
	lock := run("lock", "jobs/lock")
	lock.line()
	consumer := run("queue", "consume", "jobs/queue", "--", "cat")
	run("queue", "put", "jobs/queue", "before\n").want(0)
	if got := consumer.line(); got != "before" {
		t.Errorf("consumed %q", got)
	}

	renewed, err := etcdproc.NewPKI(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	if err := as(old, "one").Auth().UserChangePassword(ctx, "root", "two"); err != nil {
		t.Fatal(err)
	}
	if err := own.Member(0).Kill(); err != nil {
		t.Fatal(err)
	}
	copied(old.CAFile, renewed.CAFile)
	copied(old.ServerCertFile, renewed.ServerCertFile)
	copied(old.ServerKeyFile, renewed.ServerKeyFile)
	if err := own.Member(0).Launch(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "refusal of the old files", func() bool {
		r := run("ls")
		return r.wait() != 0 && strings.Contains(r.stderr.String(), "unknown authority")
	})
	install(renewed, "two")
	run("queue", "put", "jobs/queue", "after\n").want(0)
	if got := consumer.line(); got != "after" {
		t.Errorf("consumed %q", got)
	}
	other := as(renewed, "two")
	line := members(t, other, "jobs/lock")
	if len(line) != 1 {
		t.Fatalf("the lock has the keys %q", line)
	}
	resp, err := other.Get(ctx, line[0])
	if err != nil || len(resp.KVs) != 1 {
		t.Fatalf("the lock's key: %v", err)
	}
	left := func() time.Duration {
		ttl, err := other.TimeToLive(ctx, resp.KVs[0].Lease, false)
		if err != nil {
			t.Fatal(err)
		}
		return ttl.TTL
	}
	before := left()
	eventually(t, "a renewal of the lock's lease", func() bool {
		now := left()
		defer func() { before = now }()
		return now > before
	})
	lock.signal(syscall.SIGTERM)
	lock.want(0)
	consumer.signal(syscall.SIGTERM)
	consumer.want(0)
}
