package gateway_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
)

// logins is a transport that counts the log-ins of a client: the successful ones, and how many were
// in flight at once. A proxy before the members would also count log-ins that a dead member never
// received, or that a member without a leader rejected.
type logins struct {
	own     http.Transport
	asked   atomic.Int64
	granted atomic.Int64
	flying  atomic.Int64
	most    atomic.Int64 // in flight at once
}

func (l *logins) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/v3/auth/authenticate" {
		return l.own.RoundTrip(r)
	}
	l.asked.Add(1)
	if n := l.flying.Add(1); n > l.most.Load() {
		l.most.Store(n)
	}
	defer l.flying.Add(-1)
	resp, err := l.own.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusOK {
		l.granted.Add(1)
	}
	return resp, err
}

// client makes a client whose log-ins are counted.
func (l *logins) client(
	t *testing.T, c *etcdtest.Cluster, password gateway.Secret,
) *gateway.Client {
	t.Helper()
	l.own.MaxIdleConnsPerHost = 64
	t.Cleanup(l.own.CloseIdleConnections)
	return newClient(t, gateway.Config{
		Endpoints: c.Endpoints(), Transport: l, Username: "root", Password: password,
		AllowPlaintextAuth: true,
	})
}

// TestNoCallerNoticesTokensThatExpireOverFailovers: with tokens that live for three seconds,
// members that die, and many locks and watches of one client, no caller receives an error, no watch
// loses an event, and the client logs in once for each token that expires.
func TestNoCallerNoticesTokensThatExpireOverFailovers(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	duration := 15 * time.Second
	if os.Getenv("HOLDFAST_FULL") == "1" {
		duration = time.Minute
	}
	options := recipetest.Server(cluster.Version())
	options.Members, options.RootPassword, options.AuthTokenTTL = 3, canary, ttl
	c := etcdtest.Start(t, options)
	l := &logins{}
	ours := l.client(t, c, canary)
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	s := recipetest.NewSession(t, ours, nil)

	var all sync.WaitGroup
	var grants, events, kills atomic.Int64
	// Lockers work for a while and rest until every token has expired, used or not, so that they
	// all meet its end together.
	for i := range 8 {
		m := mutex.New(s, fmt.Sprintf("tokens/%d", i%4), nil)
		all.Go(func() {
			for ctx.Err() == nil {
				for working := time.Now(); time.Since(working) < time.Second && ctx.Err() == nil; {
					held, err := m.Lock(ctx)
					if err != nil {
						if ctx.Err() == nil {
							t.Errorf("Lock: %v", err)
						}
						return
					}
					if err := held.Unlock(context.WithoutCancel(ctx)); err != nil {
						t.Errorf("Unlock: %v", err)
						return
					}
					grants.Add(1)
				}
				rest(ctx, ttl+1500*time.Millisecond)
			}
		})
	}
	// The locks of a session are sent together, in few requests. Many single requests meet the end
	// of a token at once.
	all.Go(func() {
		for ctx.Err() == nil {
			var crowd sync.WaitGroup
			for range 50 {
				crowd.Go(func() {
					if _, err := ours.Get(ctx, "crowd"); err != nil && ctx.Err() == nil {
						t.Errorf("Get: %v", err)
					}
				})
			}
			crowd.Wait()
			rest(ctx, time.Second+ttl+1500*time.Millisecond)
		}
	})
	for range 4 {
		w := must(ours.Watch(within(t, duration+time.Minute), "numbers"))(t)
		all.Go(func() { followNumbers(t, w, &events) })
	}
	theirs := c.ClientV3(t)
	all.Go(func() { writeNumbers(ctx, theirs) })
	all.Go(func() { // new watches on a stream whose token has expired
		for n := 0; ctx.Err() == nil; n++ {
			w, err := ours.Watch(ctx, "unrelated/"+strconv.Itoa(n))
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("Watch: %v", err)
				}
				return
			}
			rest(ctx, ttl+1500*time.Millisecond)
			w.Close()
		}
	})
	all.Go(func() { // the member in use dies, and is started again
		for rest(ctx, 4*time.Second) {
			for i, ep := range ours.Endpoints() {
				if !ep.InUse {
					continue
				}
				if err := c.Member(i).Kill(); err != nil {
					t.Error(err)
				}
				kills.Add(1)
				rest(ctx, 1500*time.Millisecond)
				if err := c.Member(i).Restart(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	all.Wait()
	took := time.Since(begun)
	figure(t, "%d grants, %d events, %d kills, %d log-ins (%d asked for) in %v",
		grants.Load(), events.Load(), kills.Load(),
		l.granted.Load(), l.asked.Load(), took.Round(time.Second))
	if grants.Load() < 50 || events.Load() < 100 || kills.Load() < 2 {
		t.Error("next to nothing happened")
	}
	// A new token lives for the TTL on every member. A member that was restarted may not have it.
	if most := 1 + int64(took/ttl) + kills.Load(); l.granted.Load() > most {
		t.Errorf("%d log-ins, and tokens ended %d times at most", l.granted.Load(), most)
	}
	if l.granted.Load() < 3 {
		t.Errorf("%d log-ins: no token ended, so nothing was shown", l.granted.Load())
	}
	if n := l.most.Load(); n != 1 {
		t.Errorf("%d log-ins at once", n)
	}
}

var figure = recipetest.Figure

// rest waits for d, or the end of ctx.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// writeNumbers writes 1, 2, 3 … until ctx ends, and then the end. It repeats each write until that
// is certain, so a number may appear twice.
func writeNumbers(ctx context.Context, theirs *clientv3.Client) {
	write := func(value string) {
		for {
			try, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			_, err := theirs.Put(try, "numbers", value)
			cancel()
			if err == nil {
				return
			}
		}
	}
	for i := 1; rest(ctx, 20*time.Millisecond); i++ {
		write(strconv.Itoa(i))
	}
	write("end")
}

// followNumbers fails the test if a number is missing.
func followNumbers(t *testing.T, w *gateway.Watcher, events *atomic.Int64) {
	seen := 0
	for ev, err := range w.Events() {
		if err != nil {
			t.Errorf("watch ended after %d: %v", seen, err)
			return
		}
		if string(ev.KV.Value) == "end" {
			return
		}
		n, err := strconv.Atoi(string(ev.KV.Value))
		if err != nil || n > seen+1 {
			t.Errorf("%s after %d", ev.KV.Value, seen)
			return
		}
		seen = max(n, seen)
		events.Add(1)
	}
}

// TestJSONWebTokensAreRenewed: tokens that are signed, that expire, and that every change of users
// and roles makes old.
func TestJSONWebTokensAreRenewed(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		const ttl = 2 * time.Second
		public, private := keyPair(t)
		options := recipetest.Server(version)
		options.RootPassword = canary
		options.ExtraArgs = append(options.ExtraArgs,
			"--auth-token", fmt.Sprintf("jwt,pub-key=%s,priv-key=%s,sign-method=RS256,ttl=%v",
				public, private, ttl))
		c := etcdtest.Start(t, options)
		theirs := sync.OnceValue(func() *clientv3.Client { return c.ClientV3(t) })
		if version == "3.4" { // clientv3 of 3.4 does not recover from an expired token
			theirs = func() *clientv3.Client { return c.ClientV3(t) }
		}
		l := &logins{}
		ours := l.client(t, c, canary)
		ctx := within(t, time.Minute)

		begun := time.Now()
		// More often if this takes so long that tokens expire by themselves.
		loggedIn := func(times int, why string) {
			t.Helper()
			if n := int(l.granted.Load()); n < times || n > times+int(time.Since(begun)/ttl) {
				t.Errorf("%d log-ins %s, want %d", n, why, times)
			}
		}
		next := watching(ctx, t, ours, "watched")
		together := func() {
			t.Helper()
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() {
					if _, err := ours.Put(ctx, fmt.Sprintf("k/%d", i), nil); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		together()
		loggedIn(1, "of 20 callers")
		must(theirs().UserAdd(ctx, "other", canary))(t)
		together()
		loggedIn(2, "after a change of users")
		must(theirs().Put(ctx, "watched", "1"))(t)
		next("1")

		// The token has expired on the stream: a new watch opens another stream, which takes over
		// the first one's watch.
		pause(t, ctx, ttl+500*time.Millisecond, "expiry of the token")
		must(theirs().Put(ctx, "watched", "2"))(t)
		second := watching(ctx, t, ours, "watched too")
		must(theirs().Put(ctx, "watched", "3"))(t)
		must(theirs().Put(ctx, "watched too", "1"))(t)
		second("1")
		next("2")
		next("3")
		loggedIn(3, "after an expiry")
		// A change of the users makes the token old too.
		must(theirs().UserDelete(ctx, "other"))(t)
		third := watching(ctx, t, ours, "watched as well")
		must(theirs().Put(ctx, "watched", "4"))(t)
		must(theirs().Put(ctx, "watched as well", "1"))(t)
		third("1")
		next("4")
		loggedIn(4, "after another change")
		if err := ours.Auth().UserAdd(ctx, "third", canary); err != nil {
			t.Error(err)
		}
		if users := must(theirs().UserList(ctx))(t).Users; fmt.Sprint(users) != "[root third]" {
			t.Errorf("users %v", users)
		}
	})
}

// watching watches a key. The returned function fails the test unless the next event has the value.
func watching(
	ctx context.Context, t *testing.T, c *gateway.Client, key string,
) (next func(value string)) {
	t.Helper()
	w := must(c.Watch(ctx, key))(t)
	pull, stop := iter.Pull2(w.Events())
	t.Cleanup(stop)
	return func(value string) {
		t.Helper()
		if ev, err, _ := pull(); err != nil || string(ev.KV.Value) != value {
			t.Errorf("%s: event %q, %v, want %q", key, ev.KV.Value, err, value)
		}
	}
}

// keyPair writes a key to sign tokens with, and its public key.
func keyPair(t *testing.T) (public, private string) {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}),
			0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("public.pem", "PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&key.PublicKey))(t)),
		write("private.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}
