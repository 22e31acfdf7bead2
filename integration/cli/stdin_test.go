package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

// pipe returns an input that does not end until the test closes it.
func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	return read, write
}

// TestASignalEndsAPutAndReportsItsItems: every signal that ends programs ends a put that waits for
// its input, with a message that says how much was put.
func TestASignalEndsAPutAndReportsItsItems(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGTERM,
		syscall.SIGHUP, syscall.SIGQUIT,
	} {
		read, write := pipe(t)
		r := launch(t, program, nil, read, "queue", "put", "--lines", fresh(t))
		_, _ = fmt.Fprintln(write, "one")
		r.line()
		r.signal(sig)
		r.want(128 + int(sig))
		if text := r.stderr.String(); !strings.Contains(text, "items put: 1") ||
			strings.Count(text, "\n") != 1 {
			t.Errorf("%v: %q", sig, text)
		}
		read, _ = pipe(t)
		name := fresh(t)
		r = launch(t, program, nil, read, "queue", "put", name)
		awaitSession(t, r)
		r.signal(sig)
		r.want(128 + int(sig))
		if s := rows(t, "queue", "stats", name)[0]; s["ready"] != 0.0 {
			t.Errorf("%v: left %v", sig, s)
		}
	}
}

// awaitSession waits until a program has a session.
func awaitSession(t *testing.T, r *running) {
	t.Helper()
	c := newClient(t)
	pid := fmt.Sprintf(`"pid":%d,`, r.cmd.Process.Pid)
	eventually(t, "session", func() bool {
		resp, err := c.Get(within(t, patience), "holdfast/sessions/", gateway.Prefix())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range resp.KVs {
			if bytes.Contains(kv.Value, []byte(pid)) {
				return true
			}
		}
		return false
	})
}

// TestLinesArePutInTheirOrder: lines are put in their order, as soon as they arrive, and any number
// of them.
func TestLinesArePutInTheirOrder(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	read, write := pipe(t)
	r := launch(t, program, nil, read, "queue", "put", "--lines", name)
	for i := range 3 { // a slow producer
		_, _ = fmt.Fprintln(write, "slow", i)
		r.line()
		if got := hf(t, 0, "queue", "get", "-n", name); got != fmt.Sprint("slow ", i) {
			t.Errorf("got %q", got)
		}
	}
	const n = 5000
	go func() { // a fast producer, whose last line has no newline
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "%d\n", i)
		}
		_, _ = io.WriteString(write, text.String()+"\nlast")
		write.Close()
	}()
	for range n + 2 {
		r.line()
	}
	r.want(0)
	if s := rows(t, "queue", "stats", name)[0]; s["ready"] != n+2.0 {
		t.Errorf("stats %v", s)
	}
	items := rows(t, "queue", "peek", "--items", "100", name)
	for i, item := range items {
		if item["value"] != fmt.Sprint(i) {
			t.Fatalf("item %d is %v", i, item)
		}
	}
}

// TestTheTimeLimitOfPutAppliesToEachBatch: the time limit applies to each batch, however long the
// whole takes.
func TestTheTimeLimitOfPutAppliesToEachBatch(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	text := strings.Repeat("x\n", 60_000)
	r := launch(t, program, nil, strings.NewReader(text), "--command-timeout", "1", "queue", "put",
		"--lines", name)
	n := 0
	for range r.lines {
		n++
	}
	r.want(0)
	if n != 60_000 {
		t.Errorf("%d were put", n)
	}
}

// TestAnItemThatIsTooLongIsRejected: a line or an input that is too long for an item is rejected
// before it is read to its end.
func TestAnItemThatIsTooLongIsRejected(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	for _, tt := range []struct {
		args []string
		text string
		put  int
		said string // message of an input that is not read to its end
	}{
		{[]string{"--lines"}, "one\n" + strings.Repeat("x", 1<<20) + "\n", 2, ""},
		{
			[]string{"--lines"},
			"one\ntwo\n" + strings.Repeat("x", 1<<20+1<<17),
			2, "line 3 is longer",
		},
		{nil, strings.Repeat("x", 1<<20+1), 0, "longer"},
		{nil, strings.Repeat("x", 1<<20), 1, ""},
	} {
		read, write := pipe(t)
		r := launch(t, program, nil, read, append([]string{"queue", "put", name}, tt.args...)...)
		go func() {
			_, _ = io.WriteString(write, tt.text)
			if tt.said == "" {
				write.Close()
			}
		}()
		if tt.said == "" {
			r.want(0)
		} else {
			r.want(64)
			if text := r.stderr.String(); !strings.Contains(text, tt.said) {
				t.Errorf("it said %q", text)
			}
		}
		if got := len(strings.Fields(r.rest())); got != tt.put {
			t.Errorf("%d were put, not %d", got, tt.put)
		}
	}
}

// TestAFullQueueEndsAPut: a full queue ends a stream after --wait without progress. The error
// contains how many items were put.
func TestAFullQueueEndsAPut(t *testing.T) {
	t.Parallel()
	for _, wait := range []string{"0", "0.001", "1"} {
		name := fresh(t)
		r := launch(t, program, nil, strings.NewReader("a\nb\nc\nd\n"), "--json", "queue", "put",
			"--lines", "--max-length", "3", "-w", wait, "-E", "9", name)
		r.want(9)
		if text := r.stderr.String(); !strings.Contains(text, `"put":3`) ||
			!strings.Contains(text, `"code":9`) {
			t.Errorf("-w %s: %q", wait, text)
		}
		if s := rows(t, "queue", "stats", name)[0]; s["ready"] != 3.0 {
			t.Errorf("-w %s: %v", wait, s)
		}
	}
}
