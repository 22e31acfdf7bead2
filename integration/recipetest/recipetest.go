// Package recipetest has helpers for the tests of all recipes on real etcd.
package recipetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/session"
)

// Patience is the time limit for anything that a test waits for. It allows for a busy machine.
const Patience = 20 * time.Second

// Server returns options for one member that does not wait for its disk. They set a quota, because
// etcd maps that much address space, and 10 GiB without a quota, which a limited shell does not
// allow.
func Server(version string) *etcdproc.Options {
	return &etcdproc.Options{
		Version: version, UnsafeNoFsync: true,
		ExtraArgs: []string{"--quota-backend-bytes=1073741824"},
	}
}

// EndpointsEnv is the environment variable with the URLs, separated by commas, of servers that the
// contract suites use instead of their own.
const EndpointsEnv = "HOLDFAST_ENDPOINTS"

// ForEachServer runs a contract suite on a server of each of etcdproc.Versions, or on the servers
// that EndpointsEnv names. The suites of several versions run at the same time, because they wait
// most of it.
func ForEachServer(t *testing.T, test func(t *testing.T, c *etcdtest.Cluster)) {
	t.Helper()
	if given := os.Getenv(EndpointsEnv); given != "" {
		t.Run("given", func(t *testing.T) {
			test(t, &etcdtest.Cluster{Cluster: etcdproc.Given(strings.Split(given, ",")...)})
		})
		return
	}
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		t.Parallel()
		test(t, etcdtest.Start(t, Server(version)))
	})
}

// Figure reports a measured number; "make figures" shows them.
func Figure(tb testing.TB, format string, args ...any) {
	tb.Helper()
	tb.Logf("figure: "+format, args...)
}

// Within returns a context that ends with the test, or after d.
func Within(tb testing.TB, d time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), d)
	tb.Cleanup(cancel)
	return ctx
}

// NewClient returns a client that is closed at the end of the test.
func NewClient(tb testing.TB, cfg gateway.Config) *gateway.Client {
	tb.Helper()
	c, err := gateway.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// NewSession returns a session that is closed at the end of the test. An error of Close is ignored.
func NewSession(tb testing.TB, c *gateway.Client, opts *session.Options) *session.Session {
	tb.Helper()
	s, err := session.New(Within(tb, Patience), c, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = s.Close(ctx) // it may be lost or disconnected
	})
	return s
}

var (
	names   atomic.Int64
	process = strconv.FormatUint(rand.Uint64(), 36) // other processes may test on the same server
)

// Fresh returns a name that no other test uses.
func Fresh(tb testing.TB) string {
	tb.Helper()
	return fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(tb.Name(), "/", "-"), process, names.Add(1))
}

// Eventually waits until cond holds.
func Eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	ctx := Within(tb, Patience)
	for !cond() {
		Pause(tb, ctx, 5*time.Millisecond, what)
	}
}

// Pause waits for d. It fails the test if ctx ends before.
func Pause(tb testing.TB, ctx context.Context, d time.Duration, what string) {
	tb.Helper()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		tb.Fatalf("%s: %v", what, context.Cause(ctx))
	}
}

// Marked returns when the client has received all events of etcd up to now: it writes a marker and
// waits until a watch of the client shows it. The client's watches share a stream, so that a call
// that waits has received the earlier events, and has returned if they let it return.
func Marked(tb testing.TB, c *gateway.Client) {
	tb.Helper()
	ctx := Within(tb, Patience)
	key := Fresh(tb) + ".marker"
	for ctx.Err() == nil { // a test may break the client's connections
		if marked(ctx, c, key) == nil {
			return
		}
	}
	tb.Fatalf("no marker: %v", context.Cause(ctx))
}

func marked(ctx context.Context, c *gateway.Client, key string) error {
	w, err := c.Watch(ctx, key)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := c.Put(ctx, key, nil); err != nil {
		return err
	}
	for _, err := range w.Events() {
		if err != nil {
			return err
		}
		break
	}
	// one more request, in whose time a caller that was woken returns
	_, err = c.Get(ctx, key, gateway.KeysOnly())
	return err
}

// Members lists the keys of a line, without its settings, through a client that no fault should
// touch.
func Members(tb testing.TB, c *gateway.Client, name string) []string {
	tb.Helper()
	resp, err := c.Get(Within(tb, Patience), name+"/", gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		tb.Fatal(err)
	}
	var keys []string
	for _, kv := range resp.KVs {
		if !strings.HasPrefix(kv.Key, name+"//") {
			keys = append(keys, kv.Key)
		}
	}
	return keys
}
