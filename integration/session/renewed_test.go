package session_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// inUse is a client with a session that holds a lock, and a watch.
type inUse struct {
	client *gateway.Client
	s      *session.Session
	lock   *mutex.Lock
	next   func() (gateway.Event, error, bool)
}

func use(t *testing.T, cfg gateway.Config) *inUse {
	t.Helper()
	u := &inUse{client: recipetest.NewClient(t, cfg)}
	u.s = recipetest.NewSession(t, u.client, nil)
	ctx := within(t, 2*time.Minute)
	var err error
	if u.lock, err = mutex.New(u.s, "jobs/lock", nil).Lock(ctx); err != nil {
		t.Fatal(err)
	}
	w, err := u.client.Watch(ctx, "jobs/watched")
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull2(w.Events())
	t.Cleanup(stop)
	u.next = func() (gateway.Event, error, bool) { return next() }
	return u
}

// goesOn fails the test unless the session is renewed from now on and holds its lock, and the watch
// delivers a put of another client.
func (u *inUse) goesOn(t *testing.T, other *gateway.Client) {
	t.Helper()
	ctx := within(t, 2*recipetest.Patience)
	before := u.s.Deadline()
	recipetest.Eventually(t, "another renewal", func() bool { return u.s.Deadline().After(before) })
	if _, err := other.Put(ctx, "jobs/watched", []byte("after")); err != nil {
		t.Fatal(err)
	}
	ev, err, ok := u.next()
	if !ok || err != nil || string(ev.KV.Value) != "after" {
		t.Errorf("the watch delivered %q, %v", ev.KV.Value, err)
	}
	if err := u.lock.Err(); err != nil {
		t.Errorf("the lock: %v", err)
	}
	if err := u.lock.Unlock(ctx); err != nil {
		t.Errorf("unlock: %v", err)
	}
}

// replace replaces each file at once, by a rename, as programs that renew certificates do.
func replace(t *testing.T, files map[string]string) {
	t.Helper()
	for to, from := range files {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(to+".new", to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// refused waits until a client with old files gets an error that matches is.
func refused(t *testing.T, c *gateway.Client, is func(error) bool) {
	t.Helper()
	recipetest.Eventually(t, "refusal", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Get(ctx, "jobs/watched")
		return err != nil && is(err)
	})
}

func ofTLS(err error) bool { return strings.Contains(err.Error(), "tls:") }

// TestASessionOutlivesRenewedCertificates replaces authority, certificates and keys, and restarts
// etcd with the new ones, so that it rejects the old ones. The session lives and the watch
// delivers, whichever side is renewed first.
func TestASessionOutlivesRenewedCertificates(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		for _, first := range []string{"client", "server"} {
			t.Run(first+" first", func(t *testing.T) {
				t.Parallel()
				o := recipetest.Server(version)
				o.ClientCertAuth = true
				own := etcdtest.Start(t, o)
				dir, old := t.TempDir(), own.PKI()
				files := gateway.TLSFiles{
					CAFile:   filepath.Join(dir, "ca.pem"),
					CertFile: filepath.Join(dir, "cert.pem"),
					KeyFile:  filepath.Join(dir, "key.pem"),
				}
				install := func(p *etcdproc.PKI) {
					t.Helper()
					cert, key, err := p.ClientFiles("client", "")
					if err != nil {
						t.Fatal(err)
					}
					replace(t, map[string]string{
						files.CAFile: p.CAFile, files.CertFile: cert, files.KeyFile: key,
					})
				}
				install(old)
				cfg, err := files.Config()
				if err != nil {
					t.Fatal(err)
				}
				u := use(t, gateway.Config{Endpoints: own.Endpoints(), TLS: cfg})

				renewed, err := etcdproc.NewPKI(t.TempDir(), "")
				if err != nil {
					t.Fatal(err)
				}
				if first == "client" {
					install(renewed)
				}
				if err := own.Member(0).Kill(); err != nil {
					t.Fatal(err)
				}
				replace(t, map[string]string{
					old.CAFile: renewed.CAFile, old.ServerCertFile: renewed.ServerCertFile,
					old.ServerKeyFile: renewed.ServerKeyFile,
				})
				if err := own.Member(0).Launch(); err != nil {
					t.Fatal(err)
				}
				if first == "server" {
					refused(t, u.client, ofTLS)
					install(renewed)
				}
				stale := old.ClientTLS("")
				stale.RootCAs = renewed.TrustTLS().RootCAs
				stranger := gateway.Config{Endpoints: own.Endpoints(), TLS: stale}
				refused(t, recipetest.NewClient(t, stranger), ofTLS)
				u.goesOn(t, recipetest.NewClient(t, gateway.Config{
					Endpoints: own.Endpoints(), TLS: renewed.ClientTLS(""),
				}))
			})
		}
	})
}

// TestASessionOutlivesAChangedPassword changes a password in etcd and in its file, and restarts
// etcd, which loses all tokens. The session lives and the watch delivers, whichever is changed
// first.
func TestASessionOutlivesAChangedPassword(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		for _, first := range []string{"file", "etcd"} {
			t.Run(first+" first", func(t *testing.T) {
				t.Parallel()
				o := recipetest.Server(version)
				o.RootPassword = "root-password"
				own := etcdtest.Start(t, o)
				ctx := within(t, 2*time.Minute)
				as := func(user string, password gateway.Secret) gateway.Config {
					return gateway.Config{
						Endpoints: own.Endpoints(), AllowPlaintextAuth: true, Username: user,
						Password: password,
					}
				}
				root := recipetest.NewClient(t, as("root", "root-password"))
				for _, err := range []error{
					root.Auth().RoleAdd(ctx, "worker"), root.Auth().UserAdd(ctx, "worker", "one"),
					root.Auth().UserGrantRole(ctx, "worker", "worker"),
					root.Auth().RoleGrantPermission(
						ctx, "worker", gateway.PermReadWrite, "jobs/", gateway.Prefix()),
					root.Auth().RoleGrantPermission(
						ctx, "worker", gateway.PermReadWrite, session.DefaultRecordPrefix,
						gateway.Prefix()),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
				dir := t.TempDir()
				file := filepath.Join(dir, "password")
				write := func(password string) {
					t.Helper()
					text := filepath.Join(dir, "text")
					if err := os.WriteFile(text, []byte(password+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
					replace(t, map[string]string{file: text})
				}
				write("one")
				cfg := as("worker", "")
				cfg.PasswordFunc = gateway.PasswordFile(file)
				u := use(t, cfg)

				if first == "file" {
					write("two")
				}
				if err := root.Auth().UserChangePassword(ctx, "worker", "two"); err != nil {
					t.Fatal(err)
				}
				if err := own.Member(0).Kill(); err != nil { // which holds the tokens in memory
					t.Fatal(err)
				}
				if err := own.Member(0).Restart(ctx); err != nil {
					t.Fatal(err)
				}
				unauthenticated := func(err error) bool {
					return errors.Is(err, gateway.ErrUnauthenticated)
				}
				if first == "etcd" {
					refused(t, u.client, unauthenticated)
					write("two")
				}
				refused(t, recipetest.NewClient(t, as("worker", "one")), unauthenticated)
				u.goesOn(t, recipetest.NewClient(t, as("worker", "two")))
			})
		}
	})
}
