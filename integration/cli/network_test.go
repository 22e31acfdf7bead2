package cli_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// behindPath returns the URL of a proxy that serves the shared cluster's gateway and pages under
// /etcd.
func behindPath(t *testing.T) string {
	t.Helper()
	target, err := url.Parse(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	transport := &http.Transport{}
	proxy.Transport = transport
	s := httptest.NewServer(http.StripPrefix("/etcd", proxy))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	return s.URL
}

// TestAPathBeforeTheGatewayIsUsed: --api-prefix or the endpoint names a proxy's path, and doctor
// reports the watch mode.
func TestAPathBeforeTheGatewayIsUsed(t *testing.T) {
	t.Parallel()
	base := behindPath(t)
	for _, flags := range [][]string{
		{"--endpoints", base, "--api-prefix", "/etcd/v3"},
		{"--endpoints", base + "/etcd"},
		{"--endpoints", strings.TrimPrefix(base, "http://") + "/etcd/"},
	} {
		name := fresh(t)
		with := func(args ...string) []string {
			return append(append([]string{}, flags...), args...)
		}
		hf(t, 0, with("lock", name, "--", "true")...)
		clock, mode := false, ""
		for _, row := range rows(t, with("doctor", name)...) {
			clock = clock || row["check"] == "clock"
			if row["check"] == "watch" {
				mode = row["text"].(string)
			}
		}
		if !clock || !strings.Contains(mode, string(gateway.WatchModeFinite)) &&
			!strings.Contains(mode, string(gateway.WatchModeShared)) {
			t.Errorf("%v: clock compared: %v, watches: %q", flags, clock, mode)
		}
	}
	complain(t, 64, "--api-prefix", "etcd/v3", "ls")
}

// TestOutageIsSaid: a verb that waits or holds prints one line when etcd is out of reach, and one
// when it answers again.
func TestOutageIsSaid(t *testing.T) {
	t.Parallel()
	proxy, err := faultproxy.New(strings.TrimPrefix(cluster.Endpoints()[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	name := fresh(t)
	through := func(args ...string) *running {
		return start(t, append([]string{"--endpoints", proxy.Addr()}, args...)...)
	}
	holder := through("lock", name) // its renewals fail
	holder.line()
	all := map[string]*running{
		"holder": holder, "waiter": through("lock", "--ttl", "1m", name),
		"consumer": through("queue", "consume", "--ttl", "1m", name+"-jobs", "--", "sh", "-c",
			"cat; echo"),
		"member": through("member", "join", "--ttl", "1m", name+"-group"),
		"watch":  through("members", "--watch", name+"-none"),
		"shards": through("shard", "run", "--ttl", "1m", "--shards", "1", name+"-shards", "--",
			"sh", "-c", "echo; exec sleep 100"),
	}
	for _, verb := range []string{"member", "watch", "shards"} {
		all[verb].line()
	}
	awaitMembers(t, name, 2)
	hf(t, 0, "queue", "put", name+"-jobs", "x")
	all["consumer"].line()
	if err := proxy.Refuse(); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	began := time.Now()
	for who, r := range all {
		eventually(t, who+" says that etcd is away", func() bool {
			return strings.Contains(r.stderr.String(), "still trying")
		})
	}
	// 4 s, or 5 s + 2 s for a renewal; a busy machine adds
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("said after %v", took)
	}
	if err := proxy.Admit(); err != nil {
		t.Fatal(err)
	}
	for who, r := range all {
		eventually(t, who+" says that etcd is back", func() bool {
			return strings.Contains(r.stderr.String(), "again")
		})
		if text := r.stderr.String(); strings.Count(text, "\n") != 2 ||
			strings.Contains(text, "level=") {
			t.Errorf("%s: %s", who, text)
		}
	}
}

// TestAMissingEtcdEndsVerbsOfGroups: a verb that observes a group ends with 69 if etcd does not
// answer at its start.
func TestAMissingEtcdEndsVerbsOfGroups(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"members", "--watch", "a"}, {"shard", "run", "a", "--shards", "2", "--", "true"},
	} {
		text := complain(t, 69, append(args[:2:2], append([]string{
			"--endpoints", "127.0.0.1:1", "--command-timeout", "1",
		}, args[2:]...)...)...)
		if !strings.Contains(text, "cannot reach etcd within 1s") {
			t.Errorf("%v: %s", args, text)
		}
	}
}

// TestSilenceIsSaid: a verb that only holds a lock reports within 7 s that the network has fallen
// silent, with every TTL.
func TestSilenceIsSaid(t *testing.T) {
	t.Parallel()
	proxy, err := faultproxy.New(strings.TrimPrefix(cluster.Endpoints()[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	all := map[string]*running{}
	for _, ttl := range []string{"15s", "1m"} {
		all[ttl] = start(t, "--endpoints", proxy.Addr(), "--command-timeout", "1", "lock", "--ttl",
			ttl, fresh(t))
		all[ttl].line()
	}
	began := time.Now()
	proxy.Blackhole(faultproxy.Up | faultproxy.Down)
	for ttl, r := range all {
		eventually(t, "the line of the holder with a TTL of "+ttl, func() bool {
			return strings.Contains(r.stderr.String(), "still trying")
		})
	}
	took := time.Since(began)
	recipetest.Figure(t, "two holders at rest said %v after it that the network was silent",
		took.Round(time.Millisecond))
	if took > 12*time.Second { // a busy machine adds
		t.Errorf("said after %v", took)
	}
}

// TestFilesAreReadAgain: certificates and a password that change while a verb runs are used.
func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	options := recipetest.Server(etcdproc.Versions()[0])
	options.ClientCertAuth, options.RootPassword = true, "first"
	own := etcdtest.Start(t, options)
	proxy, err := faultproxy.New(own.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	password := filepath.Join(dir, "password")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(name string) {
		t.Helper()
		certFile, keyFile, err := own.PKI().ClientFiles(name, "")
		if err != nil {
			t.Fatal(err)
		}
		for from, to := range map[string]string{certFile: cert, keyFile: key} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			write(to, string(text))
		}
	}
	renew("cli-one")
	write(password, "first\n")
	flags := []string{
		"--cacert", own.PKI().CAFile, "--cert", cert, "--key", key, "--user", "root",
		"--password-file", password,
	}
	run := func(endpoint string, args ...string) *running {
		return start(t,
			append(append([]string{"--endpoints", strings.TrimPrefix(endpoint, "https://")},
				flags...), args...)...)
	}
	r := run(proxy.Addr(), "queue", "consume", "jobs", "--", "sh", "-c", "cat; echo")
	run(own.Endpoints()[0], "queue", "put", "jobs", "one").want(0)
	r.line()

	write(cert, "half of a certificate")
	proxy.Reset()
	eventually(t, "the files are said to be bad", func() bool {
		return strings.Contains(r.stderr.String(), "cannot be used")
	})
	renew("cli-two")
	proxy.Reset()
	eventually(t, "the files are used again", func() bool {
		return strings.Contains(r.stderr.String(), "can be used again")
	})

	root := recipetest.NewClient(t, gateway.Config{
		Endpoints: own.Endpoints(), TLS: own.PKI().ClientTLS(""), Username: "root",
		Password: "first",
	})
	if err := root.Auth().UserChangePassword(t.Context(), "root", "second"); err != nil {
		t.Fatal(err)
	}
	write(password, "second\n")
	run(own.Endpoints()[0], "queue", "put", "jobs", "two").want(0)
	if got := r.line(); got != "two" {
		t.Errorf("got %q", got)
	}
}
