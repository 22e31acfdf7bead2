package ui_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts holdfast, and returns the first line that it prints and a function that kills it.
// The end of the test does so too.
func start(t *testing.T, env []string, args ...string) (line string, kill func()) {
	t.Helper()
	cmd := exec.Command(program, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ETCD") && !strings.HasPrefix(v, "HOLDFAST") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env,
		"ETCDCTL_ENDPOINTS="+strings.Join(cluster.Endpoints(), ",")), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr // read after the end only
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(lines)
		r := bufio.NewReader(out)
		if text, err := r.ReadString('\n'); err == nil {
			lines <- strings.TrimSpace(text)
		}
		_, _ = io.Copy(io.Discard, r) // until the program ends
		_ = cmd.Wait()
	}()
	kill = func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		<-ended
	}
	t.Cleanup(kill)
	select {
	case line, ok := <-lines:
		if !ok {
			<-ended
			t.Fatalf("holdfast %v ended: %s", args, stderr.String())
		}
		return line, kill
	case <-time.After(patience):
		kill()
		t.Fatalf("holdfast %v printed nothing: %s", args, stderr.String())
	}
	return "", nil
}

// serve starts holdfast ui and returns its URL.
func serve(t *testing.T, args ...string) (url string) {
	t.Helper()
	url, _ = start(t, nil, append([]string{"ui", "--listen", "127.0.0.1:0"}, args...)...)
	return url
}
