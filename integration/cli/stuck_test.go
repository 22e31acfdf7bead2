package cli_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

// TestARedriveEndsWithoutAnAnswer: a redrive ends with the right status if etcd stops answering.
func TestARedriveEndsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	if _, err := newClient(t).Put(within(t, patience), name+"//x/a1",
		[]byte(`{"id":"a1","enqueued":1}`+"\nbad")); err != nil {
		t.Fatal(err)
	}
	proxy, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	dead := []byte(base64.StdEncoding.EncodeToString([]byte(name + "//x/"))[:len(name)])
	proxy.Add(faultproxy.Rule{
		Match:  func(r *faultproxy.Request) bool { return bytes.Contains(r.Body, dead) },
		Action: faultproxy.Hang,
	})
	text := complain(t, 69, "--endpoints", proxy.URL(), "--command-timeout", "0.3", "queue",
		"redrive", name)
	if !strings.Contains(text, "--command-timeout") {
		t.Error(text)
	}
}

// TestARedriveThatProgressesIsNotCutOff: the limit does not end a redrive that makes progress.
func TestARedriveThatProgressesIsNotCutOff(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	c := newClient(t)
	const letters = 60
	for i := range letters {
		id := fmt.Sprintf("a%d", i)
		if _, err := c.Put(within(t, patience), name+"//x/"+id,
			[]byte(`{"id":"`+id+`","enqueued":1}`+"\nbad")); err != nil {
			t.Fatal(err)
		}
	}
	proxy, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	const limit = 5 * time.Second // ten times --command-timeout
	proxy.Add(faultproxy.Rule{
		Match:  faultproxy.Path("/v3/kv/txn"),
		Action: faultproxy.DelayBefore(limit / letters * 3 / 2),
	})
	began := time.Now()
	hf(t, 0, "--endpoints", proxy.URL(), "--command-timeout", "0.5", "queue", "redrive", name)
	if took := time.Since(began); took < limit {
		t.Errorf("it took only %v", took)
	}
	if s := rows(t, "queue", "stats", name)[0]; s["ready"] != float64(letters) || s["dead"] != 0.0 {
		t.Errorf("stats %v", s)
	}
}

// TestASecondInterruptEndsHoldfastWithStuckOutput: a second Ctrl-C ends holdfast even if its
// standard error is blocked, as on a terminal after Ctrl-S.
func TestASecondInterruptEndsHoldfastWithStuckOutput(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hold(t, name)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if err := write.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until it is full
		_, err = write.Write(make([]byte, 4096))
	}
	cmd := exec.Command(program, "lock", name, "--", "true")
	cmd.Env = append(plainEnv(), "ETCDCTL_ENDPOINTS="+strings.Join(cluster.Endpoints(), ","))
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // ProcessState has the result
	}()
	awaitMembers(t, name, 2)
	interrupt := func() { _ = cmd.Process.Signal(syscall.SIGINT) } // it may have ended
	interrupt()
	awaitMembers(t, name, 1)
	first := time.Now()
	eventually(t, "end", func() bool {
		if time.Since(first) > 300*time.Millisecond { // signals closer together count as one
			interrupt()
		}
		select {
		case <-exited:
			return true
		default:
			return false
		}
	})
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() ||
		ws.Signal() != syscall.SIGINT {
		t.Errorf("ended by %v", cmd.ProcessState)
	}
}
