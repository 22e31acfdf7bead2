package cli_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestAnItemIsListedAndReceivedOnce: an item that was put can be listed, and received once.
func TestAnItemIsListedAndReceivedOnce(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	complain(t, 1, "queue", "get", "-n", name)
	hf(t, 3, "queue", "get", "-w", "1.5", "-E", "3", name)
	id := hf(t, 0, "queue", "put", name, "one")
	put := launch(t, program, nil, strings.NewReader("two\nthree\n"), "queue", "put", "--lines",
		name)
	put.want(0)
	if ids := strings.Fields(put.rest()); len(ids) != 2 {
		t.Errorf("IDs %q", ids)
	}
	whole := launch(t, program, nil, strings.NewReader("four\nand five\n"), "queue", "put",
		"--priority", "9", name)
	whole.want(0)
	again := hf(t, 0, "queue", "put", "--dedup-id", "x", name, "six")
	if again != hf(t, 0, "queue", "put", "--dedup-id", "x", name, "seven") {
		t.Error("two items with one de-duplication ID")
	}
	hf(t, 0, "queue", "put", "--delay", "1h", name, "late")
	items := rows(t, "queue", "peek", name)
	if len(items) != 5 || items[0]["value"] != "four\nand five\n" || items[1]["id"] != id ||
		items[4]["value"] != "six" {
		t.Errorf("items %v", items)
	}
	if stats := rows(t, "queue", "stats", name); len(stats) != 1 || stats[0]["ready"] != 5.0 ||
		stats[0]["delayed"] != 1.0 {
		t.Errorf("stats %v", stats)
	}
	if out := hf(t, 0, "queue", "stats", name); !strings.Contains(out, "READY") {
		t.Errorf("stats %s", out)
	}
	for _, want := range []string{"four\nand five", "one", "two", "three"} {
		if got := hf(t, 0, "queue", "get", name); got != want {
			t.Errorf("got %q, not %q", got, want)
		}
	}
	if got := rows(t, "queue", "get", name); len(got) != 1 || got[0]["value"] != "six" ||
		got[0]["attempt"] != 1.0 {
		t.Errorf("got %v", got)
	}
	hf(t, 1, "queue", "get", "-n", name)
}

// TestTheCommandOfConsumeGetsEachItem: the command has the item on its input. Items whose command
// fails are delivered again, and end among the dead letters.
func TestTheCommandOfConsumeGetsEachItem(t *testing.T) {
	t.Parallel()
	name, dir := fresh(t), t.TempDir()
	put := launch(t, program, nil, strings.NewReader("a\nb\nbad\nc\n"), "queue", "put", "--lines",
		name)
	put.want(0)
	r := start(t, "queue", "consume", "--concurrency", "2", "--max-attempts", "2", name, "--", "sh",
		"-c",
		`v=$(cat); echo "$v $HOLDFAST_ATTEMPT ${HOLDFAST_ITEM:+item} ${HOLDFAST_FENCE:+fence}"; [ `+
			`"$v" != bad ]`)
	var got []string
	for range 5 {
		got = append(got, r.line())
	}
	slices.Sort(got)
	if want := []string{
		"a 1 item fence", "b 1 item fence", "bad 1 item fence", "bad 2 item fence",
		"c 1 item fence",
	}; !slices.Equal(got, want) {
		t.Errorf("worked on %q", got)
	}
	eventually(t, "dead letter", func() bool { return len(rows(t, "queue", "dead", name)) == 1 })
	r.signal(syscall.SIGTERM)
	r.want(0)
	dead := rows(t, "queue", "dead", name)
	if len(dead) != 1 || dead[0]["value"] != "bad" || dead[0]["attempts"] != 2.0 {
		t.Fatalf("dead %v", dead)
	}
	gone := hf(t, 0, "queue", "put", name, "gone", "--delay", "1h")
	hf(t, 0, "queue", "remove", name, gone)
	hf(t, 1, "queue", "remove", name, gone)
	if n := hf(t, 0, "queue", "redrive", name, dead[0]["id"].(string)); n != "1" {
		t.Errorf("redriven: %s", n)
	}

	// The first signal lets the command finish; the second is forwarded to it.
	release := filepath.Join(dir, "go")
	for _, script := range []string{
		"trap 'exit 0' TERM; echo; while [ ! -e " + release + " ]; do sleep 0.01; done",
		"trap 'exit 0' TERM INT; echo; while :; do sleep 0.01; done",
	} {
		r := start(t, "queue", "consume", name, "--", "sh", "-c", script)
		r.line()
		r.signal(syscall.SIGTERM)
		if strings.Contains(script, release) {
			if err := os.WriteFile(release, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			r.signal(syscall.SIGINT) // two signals of one kind may be delivered as one
		}
		r.want(0)
		hf(t, 0, "queue", "put", name, "next")
	}
	if stats := rows(t, "queue", "stats", name); stats[0]["ready"] != 1.0 ||
		stats[0]["claimed"] != 0.0 {
		t.Errorf("left: %v", stats)
	}
}

// TestACommandWhoseClaimIsDeletedIsEnded: a command whose claim is deleted is ended, and another
// command gets the item.
func TestACommandWhoseClaimIsDeletedIsEnded(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hf(t, 0, "queue", "put", name, "x")
	r := start(t, "queue", "consume", "--ttl", "5", name, "--", "sh", "-c",
		`trap '' TERM; echo $HOLDFAST_KEY $$; [ $HOLDFAST_ATTEMPT = 2 ] || while :; do sleep `+
			`0.05; done`)
	first := strings.Fields(r.line())
	if len(first) != 2 {
		t.Fatal(first)
	}
	c := newClient(t)
	if _, err := c.Delete(within(t, patience), first[0]); err != nil {
		t.Fatal(err)
	}
	if second := strings.Fields(r.line()); len(second) != 2 || second[1] == first[1] {
		t.Errorf("second: %q", second)
	}
	eventually(t, "end of the first", func() bool { return !alive(t, first[1]) })
	eventually(t, "empty queue", func() bool {
		s := rows(t, "queue", "stats", name)[0]
		return s["ready"] == 0.0 && s["claimed"] == 0.0
	})
	r.signal(syscall.SIGTERM)
	r.want(0)
}

// TestAnItemThatWasNotPrintedIsReadyAgain: an item that could not be printed is still in the queue,
// and ready at once.
func TestAnItemThatWasNotPrintedIsReadyAgain(t *testing.T) {
	t.Parallel()
	full := "exec >/dev/full; exec " + program + " "
	if _, err := os.Stat("/dev/full"); err != nil {
		full = "exec >&-; exec " + program + " "
	}
	name := fresh(t)
	hf(t, 0, "queue", "put", name, "precious")
	for _, args := range []string{
		"queue get ", "--json queue get ", "queue peek ",
		"--json queue peek ", "queue stats ", "--json queue stats ",
	} {
		r := launch(t, "/bin/sh", nil, nil, "-c", full+args+name)
		r.want(70)
		if strings.Count(r.stderr.String(), "\n") != 1 {
			t.Errorf("%s: %q", args, r.stderr.String())
		}
	}
	for _, args := range []string{"queue get ", "--json queue get "} {
		unread(t, args+name)
		if s := rows(t, "queue", "stats", name)[0]; s["ready"] != 1.0 || s["claimed"] != 0.0 {
			t.Errorf("%s has left %v", args, s)
		}
	}
	if got := hf(t, 0, "queue", "get", "-n", name); got != "precious" {
		t.Errorf("got %q", got)
	}
	unread(t, "lock "+name)
	awaitMembers(t, name, 0)
	// SIGPIPE ends a command as usual
	hf(t, 128+int(syscall.SIGPIPE), "lock", name, "--", "sh", "-c", "kill -PIPE $$; exit 0")
}

// unread runs holdfast with a closed pipe as its output. It expects the status of a program that
// SIGPIPE killed, and no message.
func unread(t *testing.T, args string) {
	t.Helper()
	pipe := fifo(t)
	r := launch(t, "/bin/sh", nil, nil, "-c",
		"exec 3<>"+pipe+" >"+pipe+" 3<&-; exec "+program+" "+args)
	r.want(128 + int(syscall.SIGPIPE))
	if r.stderr.String() != "" {
		t.Errorf("%s: %q", args, r.stderr.String())
	}
}

// deadLetter makes a dead letter and returns its ID.
func deadLetter(t *testing.T, name string) string {
	t.Helper()
	id := hf(t, 0, "queue", "put", name, "bad")
	r := start(t, "queue", "consume", "--max-attempts", "1", name, "--", "false")
	eventually(t, "dead letter", func() bool { return len(rows(t, "queue", "dead", name)) == 1 })
	r.signal(syscall.SIGTERM)
	r.want(0)
	return id
}

// TestADiscardedDeadLetterLeavesNoTrace: a dead letter that is deleted by hand disappears without a
// trace.
func TestADiscardedDeadLetterLeavesNoTrace(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	id := deadLetter(t, name)
	if n, err := newClient(t).Delete(within(t, patience), name+"//x/"+id); err != nil ||
		n.Deleted != 1 {
		t.Fatalf("deleted %v, %v", n, err)
	}
	if out := hf(t, 0, "queue", "redrive", name, id); out != "0" {
		t.Errorf("redriven: %s", out)
	}
	if dead := rows(t, "queue", "dead", name); len(dead) != 0 {
		t.Errorf("dead: %v", dead)
	}
	hf(t, 0, "queue", "put", name, "good")
	if got := hf(t, 0, "queue", "get", name); got != "good" {
		t.Errorf("got %q", got)
	}
	if s := rows(t, "queue", "stats", name)[0]; s["ready"] != 0.0 ||
		s["claimed"] != 0.0 || s["dead"] != 0.0 {
		t.Errorf("stats %v", s)
	}
	hf(t, 0, "doctor", name)
}

// TestAPausedQueueDeliversNothingAndKeepsAll: while a queue is paused nothing is delivered, and
// afterwards everything is still there.
func TestAPausedQueueDeliversNothingAndKeepsAll(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hf(t, 0, "queue", "put", name, "x")
	for range 2 { // a second pause changes nothing
		hf(t, 0, "queue", "pause", name)
	}
	if s := rows(t, "queue", "stats", name)[0]; s["paused"] != true {
		t.Errorf("stats %v", s)
	}
	hf(t, 1, "queue", "get", "-n", name)
	waiting := start(t, "queue", "get", name)
	for range 2 {
		hf(t, 0, "queue", "resume", name)
	}
	if got := waiting.line(); got != "x" {
		t.Errorf("got %q", got)
	}
	waiting.want(0)
	if s := rows(t, "queue", "stats", name)[0]; s["paused"] != false {
		t.Errorf("stats %v", s)
	}
}

// TestTheListOfDeadLettersEndsWithoutAnAnswer: if etcd stops answering in the middle, the list of
// dead letters ends as other lists do.
func TestTheListOfDeadLettersEndsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	deadLetter(t, name)
	target, err := url.Parse(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	toEtcd := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport,
		FlushInterval: -1,
	}
	// requests that were cut off
	toEtcd.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
	letters := []byte(base64.StdEncoding.EncodeToString([]byte(name + "//x/")))
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if bytes.Contains(body, letters) {
			<-r.Context().Done()
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		toEtcd.ServeHTTP(w, r)
	}))
	t.Cleanup(silent.Close)
	text := complain(t, 69, "--endpoints", silent.URL, "--command-timeout", "1", "queue", "dead",
		name)
	if !strings.Contains(text, "within 10s") ||
		!strings.Contains(text, "type a longer --command-timeout") {
		t.Error(text)
	}
}

// TestAnItemWhoseCommandCannotStartIsRequeued: an item whose command cannot be started is requeued,
// and the attempt does not count.
func TestAnItemWhoseCommandCannotStartIsRequeued(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	hf(t, 0, "queue", "put", name, "x")
	for range 3 {
		launch(t, program, []string{"TMPDIR=/nonexistent"}, nil, "queue", "consume",
			name, "--max-attempts", "2", "--", "true").want(70)
	}
	if got := rows(t, "queue", "get", name); len(got) != 1 || got[0]["attempt"] != 1.0 {
		t.Errorf("got %v", got)
	}
}

// TestATimeOfAnotherProgramIsPrinted: an item of another program with a time in microseconds is
// printed by get, peek and dead, as JSON too, without the time, because JSON cannot represent it.
func TestATimeOfAnotherProgramIsPrinted(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	name := fresh(t)
	put := func(key, text string) {
		t.Helper()
		if _, err := c.Put(within(t, patience), name+key, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("//q/9/0000000000000001", `{"id":"a1","enqueued":1795251600000000}`+"\nhello")
	put("//x/b2",
		`{"id":"b2","enqueued":1795251600000000,"attempts":3,"died":1795251600000000}`+"\nbad")
	const none = "0001-01-01T00:00:00Z"
	if all := rows(t, "queue", "peek", name); len(all) != 1 || all[0]["value"] != "hello" ||
		all[0]["enqueued"] != none {
		t.Errorf("peek: %v", all)
	}
	if all := rows(t, "queue", "dead", name); len(all) != 1 ||
		all[0]["value"] != "bad" || all[0]["died"] != none {
		t.Errorf("dead: %v", all)
	}
	if all := rows(t, "queue", "get", name); len(all) != 1 || all[0]["value"] != "hello" ||
		all[0]["enqueued"] != none || all[0]["id"] != "a1" {
		t.Errorf("get: %v", all)
	}
	hf(t, 1, "queue", "get", "-n", name)
	if out := hf(t, 0, "queue", "dead", name); !strings.Contains(out, "b2") {
		t.Errorf("dead: %s", out)
	}
	hf(t, 0, "queue", "redrive", name)
	if got := hf(t, 0, "queue", "get", name); got != "bad" {
		t.Errorf("redriven: %q", got)
	}
}
