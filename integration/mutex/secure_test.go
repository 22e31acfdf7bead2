package mutex_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestLocksWorkOverTLSWithAPassword: locks work over TLS with client certificates and a user with
// few rights, whose tokens expire often.
func TestLocksWorkOverTLSWithAPassword(t *testing.T) {
	t.Parallel()
	const password = "canary-password"
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		own := etcdtest.Start(t, &etcdproc.Options{
			Version: version, UnsafeNoFsync: true, ClientCertAuth: true,
			RootPassword: "canary-root", AuthTokenTTL: 2 * time.Second,
		})
		grantUser(t, own, "worker", password, "jobs/", session.DefaultRecordPrefix)
		var log syncBuffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg := gateway.Config{
			Endpoints: own.Endpoints(), TLS: own.TLSConfig(), Username: "worker",
			Password: password, Logger: logger,
		}
		a := newSession(t, newClient(t, cfg), nil)
		b := newSession(t, newClient(t, cfg), nil)
		count := 0
		var all sync.WaitGroup
		until := time.Now().Add(6 * time.Second) // three times the life of a token
		for _, s := range []*session.Session{a, b} {
			all.Go(func() {
				for time.Now().Before(until) {
					l := lock(t, s, "jobs/one")
					count++
					// shorter than the life of a token; two are longer
					pause(t, t.Context(), 700*time.Millisecond, "work")
					unlock(t, l)
				}
			})
		}
		all.Wait()
		if count < 6 {
			t.Errorf("%d grants", count)
		}
		pause(t, t.Context(), 3*time.Second, "expiry of all tokens")
		unlock(t, lock(t, a, "jobs/one"))

		_, err := mutex.New(a, "elsewhere", nil).Lock(within(t, 20*time.Second))
		if !errors.Is(err, gateway.ErrPermissionDenied) || a.Err() != nil {
			t.Errorf("Lock outside of the role: %v, session %v", err, a.Err())
		}
		errs := []error{err}
		wrong := cfg
		wrong.Password = "canary-wrong"
		_, err = newClient(t, wrong).Get(within(t, 20*time.Second), "jobs/one")
		errs = append(errs, err)
		if !errors.Is(err, gateway.ErrUnauthenticated) {
			t.Errorf("a wrong password: %v", err)
		}
		for _, err := range errs {
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err)} {
				if strings.Contains(text, "canary") {
					t.Errorf("a secret in %s", text)
				}
			}
		}
		if strings.Contains(log.String(), "canary") {
			t.Error("a secret in the log")
		}
	})
}

// TestNewWithoutARightNamesThePrefix: without a right to the records New returns an error that
// names their prefix.
func TestNewWithoutARightNamesThePrefix(t *testing.T) {
	own := etcdtest.Start(t, &etcdproc.Options{UnsafeNoFsync: true, RootPassword: "root"})
	grantUser(t, own, "worker", "pw", "jobs/")
	c := newClient(t, gateway.Config{
		Endpoints: own.Endpoints(), Username: "worker", Password: "pw",
		AllowPlaintextAuth: true,
	})
	_, err := session.New(within(t, 20*time.Second), c, nil)
	if !errors.Is(err, gateway.ErrPermissionDenied) ||
		!strings.Contains(fmt.Sprint(err), session.DefaultRecordPrefix) {
		t.Errorf("New: %v", err)
	}
}

// TestAMistakeWithTLSIsAnErrorThatNamesTheEndpoint: for most mistakes Get returns an error that
// names the endpoint before the context ends.
func TestAMistakeWithTLSIsAnErrorThatNamesTheEndpoint(t *testing.T) {
	own := etcdtest.Start(t, &etcdproc.Options{UnsafeNoFsync: true, ClientCertAuth: true})
	good := own.TLSConfig()
	stranger, err := etcdproc.NewPKI(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	noCert := good.Clone()
	noCert.Certificates = nil
	otherName := good.Clone()
	otherName.ServerName = "elsewhere.example"
	unknown := stranger.ClientTLS("")
	unknown.RootCAs = good.RootCAs
	for what, cfg := range map[string]gateway.Config{
		"unknown authority":          {Endpoints: own.Endpoints(), TLS: stranger.ClientTLS("")},
		"wrong name":                 {Endpoints: own.Endpoints(), TLS: otherName},
		"no client certificate":      {Endpoints: own.Endpoints(), TLS: noCert},
		"unknown client certificate": {Endpoints: own.Endpoints(), TLS: unknown},
	} {
		ctx := within(t, 10*time.Second)
		_, err := newClient(t, cfg).Get(ctx, "key")
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "get") ||
			!strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// For these etcd only closes the connection, as a server that shuts down.
	for what, cfg := range map[string]gateway.Config{
		"http to https": {Endpoints: []string{strings.Replace(own.Endpoints()[0], "https", "http",
			1)}},
		"https to http": {Endpoints: []string{strings.Replace(cluster.Endpoints()[0], "http",
			"https", 1)}, TLS: &tls.Config{}},
	} {
		ctx := within(t, 10*time.Second)
		_, err := newClient(t, cfg).Get(ctx, "key")
		want := "the endpoint speaks " + strings.Fields(what)[2]
		if err == nil || ctx.Err() != nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// grantUser creates a user with the right to read and write some prefixes.
func grantUser(t *testing.T, c *etcdtest.Cluster, user, password string, prefixes ...string) {
	t.Helper()
	root := c.ClientV3(t)
	ctx := within(t, 20*time.Second)
	_, err := root.UserAdd(ctx, user, password)
	if err == nil {
		_, err = root.RoleAdd(ctx, user)
	}
	for _, p := range prefixes {
		if err == nil {
			_, err = root.RoleGrantPermission(ctx, user, p, p[:len(p)-1]+"0", 2) // read and write
		}
	}
	if err == nil {
		_, err = root.UserGrantRole(ctx, user, user)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// syncBuffer is a buffer that a logger may write to while others read.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
