package cli_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestAnInvalidCommandLineSaysHowToCorrectIt: an invalid command line ends with status 64, and one
// line that says how to correct it.
func TestAnInvalidCommandLineSaysHowToCorrectIt(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"bogus"},
		{"lock"},
		{"lock", "a", "b"},
		{"lock", "a", "true"},
		{"lock", "a", "--bogus"},
		{"lock", "a", "-n", "-w", "1"},
		{"lock", "a", "-w", "soon"},
		{"lock", "a", "-E", "300"},
		{"lock", "a", "--ttl", "1ms"},
		{"lock", "a", "--grace", "20s"},
		{"lock", "a", "b", "-s", "--"},
		{"lock", "a", "-s", "--lock-delay", "1"},
		{"lock", "a//", "-n"},
		{"semaphore", "a/", "--limit", "2", "-n"},
		{"lock", "holdfast/sessions/x", "-n"},
		{"semaphore", "a"},
		{"semaphore", "a", "--limit", "2", "--weight", "3"},
		{"limit", "a"},
		{"limit", "a", "--rate", "1"},
		{"elect", "a"},
		{"leader"},
		{"leader", "a", "b"},
		{"barrier"},
		{"barrier", "bogus"},
		{"barrier", "enter", "a"},
		{"barrier", "hold", "a", "-w", "1"},
		{"barrier", "hold", "a", "-E", "1"},
		{"barrier", "wait"},
		{"latch", "wait", "a"},
		{"latch"},
		{"queue"},
		{"queue", "bogus"},
		{"queue", "consume", "a"},
		{"queue", "put"},
		{"queue", "peek", "a", "--items", "0"},
		{"queue", "pause"},
		{"queue", "put", "--lines", "a", "b"},
		{"queue", "put", "--dedup-id", "", "a", "b"},
		{"queue", "put", "--group", "", "a", "b"},
		{"cron", "a", "0 0 30 2 *", "--", "true"}, // there is no such day
		{"cron", "a", "--every", "24h", "--timezone", "Europe/Berlin", "--", "true"},
		{"help", "bogus"},
		{"help", "queue", "bogus"},
		{"completion"},
		{"completion", "bogus"},
		{"ls", "a", "b"},
		{"info"},
		{"break", "a"},
		{"doctor", "a", "b"},
		{"ls", "--command-timeout", "0"},
		{"ls", "--user", "a:b"},
		{"ls", "--user", "a"},
		{"ls", "--endpoints", "ftp://a"},
		{"ls", "--cert", "a"},
		{"ls", "--cacert", "/no/such"},
		{"ls", "--password-file", "/no/such"},
	} {
		text := complain(t, 64, args...)
		if !strings.Contains(text, "type") && !strings.Contains(text, "/no/such") &&
			!strings.Contains(text, "name") {
			t.Errorf("%v: %s", args, text)
		}
	}
	never, end, err := os.Pipe() // an input that does not end
	if err != nil {
		t.Fatal(err)
	}
	defer never.Close()
	defer end.Close()
	launch(t, program, nil, never, "queue", "put", "--lines", "--dedup-id", "x", "a").want(64)
	hf(t, 127, "lock", "a", "--", "no-such-command")
	hf(t, 126, "lock", "a", "--", os.TempDir())
	if r := start(t, "lock", "--json"); r.wait() != 64 ||
		!strings.Contains(r.stderr.String(), `"code":64`) {
		t.Errorf("in JSON: %s", r.stderr.String())
	}
	if out := strings.Fields(hf(t, 0, "--version")); len(out) < 3 || out[2] == "unknown" {
		t.Errorf("version: %q", out)
	}
	if flag, verb := hf(t, 0, "--version"), hf(t, 0, "version"); flag != verb {
		t.Errorf("--version prints %q, version prints %q", flag, verb)
	}
	if out := hf(t, 0, "--help"); !strings.Contains(out, "64") ||
		!strings.Contains(out, "redrive") && !strings.Contains(out, "queue") {
		t.Errorf("help: %s", out)
	}
}

// TestAHelpThatWasNotPrintedIsAFailure, as any other output.
func TestAHelpThatWasNotPrintedIsAFailure(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	for _, args := range []string{
		"--help", "lock --help", "help lock", "--version", "completion bash",
	} {
		r := launch(t, "/bin/sh", nil, nil, "-c", "exec "+program+" "+args+" >/dev/full")
		r.want(70)
		if strings.Count(r.stderr.String(), "\n") != 1 {
			t.Errorf("%s: %q", args, r.stderr.String())
		}
	}
}

// TestWithoutEtcdOneLineIsPrinted: without etcd, one line is printed within the time limit.
func TestWithoutEtcdOneLineIsPrinted(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, endpoint := range map[string]string{
		"refused": "127.0.0.1:1", "silent": silent.Addr().String(),
		"unknown": "no-such-host.invalid:2379",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{
				{"lock", "a", "--", "true"},
				{"elect", "a", "b"},
				{"queue", "put", "a", "b"},
				{"queue", "consume", "a", "--", "true"},
				{"ls"},
				{"doctor"},
			} {
				began := time.Now()
				text := complain(t, 69,
					append([]string{"--endpoints", endpoint, "--command-timeout", "1.5"},
						args...)...)
				// 1.5 s, plus the work of doctor and a busy machine
				if took := time.Since(began); took > 8*time.Second {
					t.Errorf("%v took %v", args, took)
				}
				if !strings.Contains(text, endpoint) {
					t.Errorf("%v: %s", args, text)
				}
			}
			text := complain(t, 69, "--endpoints", endpoint, "--command-timeout", "1h", "lock",
				"-w", "1", "a", "--", "true")
			if !strings.Contains(text, "within 1s at") {
				t.Errorf("with -w: %s", text)
			}
		})
	}
}

// TestCertificatesAndPasswordsAreReadFromTheVariables: certificates, user and password are read
// from etcdctl's variables, and the password is never shown.
func TestCertificatesAndPasswordsAreReadFromTheVariables(t *testing.T) {
	t.Parallel()
	const password = "canary-password"
	options := recipetest.Server(etcdproc.Versions()[0])
	options.ClientCertAuth, options.RootPassword = true, password
	own := etcdtest.Start(t, options)
	cert, key, err := own.PKI().ClientFiles("cli", "")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"ETCDCTL_ENDPOINTS=" + strings.TrimPrefix(own.Endpoints()[0], "https://"),
		"ETCDCTL_CACERT=" + own.PKI().CAFile,
		"ETCDCTL_CERT=" + cert, "ETCDCTL_KEY=" + key,
	}
	run := func(code int, more []string, args ...string) *running {
		t.Helper()
		r := launch(t, program, append(more, env...), nil, args...)
		r.want(code)
		if strings.Contains(r.stderr.String()+r.rest(), password) {
			t.Errorf("%v shows the password", args)
		}
		return r
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, []string{"ETCDCTL_USER=root:" + password}, "lock", "a", "--", "true")
	run(0, []string{"ETCDCTL_USER=root", "ETCDCTL_PASSWORD=" + password}, "lock", "a", "--", "true")
	run(0, []string{"ETCDCTL_PASSWORD=" + password}, "doctor", "--user", "root")
	run(0, nil, "ls", "--user", "root", "--password-file", file)
	run(77, []string{"ETCDCTL_USER=root:" + password + "x"}, "lock", "a", "--", "true")
	run(77, nil, "lock", "a", "--", "true")
	run(64, nil, "ls", "--user", "root:"+password)
}
