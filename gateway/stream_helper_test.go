package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// watchServer lets a test play the server of watch streams, line by line.
type watchServer struct {
	*cluster
	streams chan *stream

	mu      sync.Mutex
	version string
}

// newWatchServer makes a cluster whose streams the test serves. unary answers everything else, if
// given.
func newWatchServer(
	t *testing.T, members int, unary func(w http.ResponseWriter, r request),
) *watchServer {
	t.Helper()
	s := &watchServer{streams: make(chan *stream, 100), version: "3.6.16"}
	s.cluster = newCluster(t, members, func(w http.ResponseWriter, r request) {
		switch r.URL.Path {
		case "/v3/watch":
			s.serve(t, w, r)
		case "/version":
			s.mu.Lock()
			defer s.mu.Unlock()
			answer(w, http.StatusOK, `{"etcdserver":"`+s.version+`","etcdcluster":"3.6.0"}`)
		default:
			unary(w, r)
		}
	})
	return s
}

func (s *watchServer) serve(t *testing.T, w http.ResponseWriter, r request) {
	t.Helper()
	// A trial of a worse mode, because the test was slow to answer. It gets no answer.
	if !r.Close || r.ContentLength > 0 {
		if r.ContentLength <= 0 {
			t.Error("the request does not say Connection: close, etcd would hold back its answer")
		}
		hang(r)
		return
	}
	if r.Header.Get("Grpc-Metadata-Hasleader") != "true" || r.Header.Get("Grpc-Timeout") != "" {
		t.Errorf("headers of a stream: %v", r.Header)
	}
	st := &stream{
		t: t, w: w, request: r, messages: make(chan message, 1000), acts: make(chan func() bool),
		gone: make(chan struct{}),
	}
	s.streams <- st
	go func() {
		defer close(st.gone)
		for dec := json.NewDecoder(r.Body); ; {
			var m message
			if dec.Decode(&m) != nil {
				return
			}
			st.messages <- m
		}
	}()
	for {
		select {
		case act := <-st.acts:
			if !act() {
				return
			}
		case <-st.gone:
			return
		}
	}
}

// patience is how much fake time a test gives a client for its next step.
const patience = time.Minute

// next waits for a client to open a stream.
func (s *watchServer) next(t *testing.T) *stream {
	t.Helper()
	select {
	case st := <-s.streams:
		return st
	case <-time.After(patience):
		t.Fatal("no stream was opened")
		return nil
	}
}

// none checks that no stream is being opened.
func (s *watchServer) none(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case <-s.streams:
		t.Error("a stream was opened")
	default:
	}
}

// message is one line from the client.
type message struct {
	Create *struct {
		ID       int64  `json:"watch_id,string"`
		Key      []byte `json:"key"`
		End      []byte `json:"range_end"`
		Start    int64  `json:"start_revision,string"`
		PrevKV   bool   `json:"prev_kv"`
		Fragment bool   `json:"fragment"`
	} `json:"create_request"`
	Cancel *struct {
		ID int64 `json:"watch_id,string"`
	} `json:"cancel_request"`
	Progress *struct{} `json:"progress_request"`
}

// stream is one watch stream, as its server sees it.
type stream struct {
	t *testing.T
	w http.ResponseWriter
	request
	messages chan message
	acts     chan func() bool // steps of the handler, until one returns that it was the last
	gone     chan struct{}    // closed when the client has closed the stream
}

// create waits for a create request of that key.
func (s *stream) create(key string, start int64) (id int64) {
	s.t.Helper()
	m := s.read()
	if m.Create == nil || string(m.Create.Key) != key || m.Create.Start != start ||
		m.Create.ID == 0 || !m.Create.Fragment {
		s.t.Fatalf("got %+v, want a create of %q from %d", m.Create, key, start)
	}
	return m.Create.ID
}

// accept waits for a create request and confirms it.
func (s *stream) accept(key string, start, rev int64) (id int64) {
	s.t.Helper()
	id = s.create(key, start)
	s.write(created(id, rev))
	return id
}

func (s *stream) write(lines ...string) {
	s.act(func() bool {
		_, _ = io.WriteString(s.w, strings.Join(lines, ""))
		_ = http.NewResponseController(s.w).Flush()
		return true
	})
}

// read waits for the client's next line.
func (s *stream) read() message {
	s.t.Helper()
	select {
	case m := <-s.messages:
		return m
	case <-time.After(patience):
		s.t.Fatal("the client wrote nothing")
		return message{}
	}
}

// hungUp checks that the client ends the stream at once.
func (s *stream) hungUp() {
	s.t.Helper()
	select {
	case <-s.gone:
	case <-time.After(time.Millisecond):
		s.t.Fatal("the client holds the stream open")
	}
}

// cut breaks the connection. Otherwise the server would first read the rest of the request, if no
// goroutine is reading it, and wait for the client.
func (s *stream) cut() {
	s.act(func() bool {
		_ = http.NewResponseController(s.w).SetReadDeadline(time.Unix(1, 0))
		panic(http.ErrAbortHandler)
	})
}

// finish ends the answer in an orderly way.
func (s *stream) finish() { s.act(func() bool { return false }) }

// act lets the handler do a step and waits until it is done, or the client is gone.
func (s *stream) act(f func() bool) {
	done := make(chan struct{})
	select {
	case s.acts <- func() bool { defer close(done); return f() }:
		<-done
	case <-s.gone:
	}
}

func line(rev int64, format string, args ...any) string {
	return fmt.Sprintf(`{"result":{"header":{"cluster_id":"7","revision":"%d"},`+format+"}}\n",
		append([]any{rev}, args...)...)
}

func created(id, rev int64) string { return line(rev, `"watch_id":"%d","created":true`, id) }

func refused(rev int64, code, text string) string {
	return line(rev, `"watch_id":"-1","created":true,"canceled":true,"cancel_reason":"rpc error: `+
		`code = %s desc = %s"`, code, text)
}

func progress(rev int64) string { return line(rev, `"watch_id":"-1"`) }

func kv(key string, rev int64) string {
	return fmt.Sprintf(`{"kv":{"key":"%s","mod_revision":"%d","create_revision":"%d",`+
		`"version":"1","value":"dg=="}}`, b64(key), rev, rev)
}

func events(id int64, kvs ...string) string {
	return line(1, `"watch_id":"%d","events":[%s]`, id, strings.Join(kvs, ","))
}

func fragment(id int64, kvs ...string) string {
	return line(1, `"watch_id":"%d","fragment":true,"events":[%s]`, id, strings.Join(kvs, ","))
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// recorder records the responses of a watch.
type recorder struct {
	mu  sync.Mutex
	got []gateway.WatchResponse
}

func (r *recorder) take(w gateway.WatchResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, w)
}

// want waits until all goroutines are blocked, and compares: "created 5", "a@6 b@6" for one
// response with two events, "error".
func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var got []string
	for _, w := range r.got {
		switch {
		case w.Err != nil:
			got = append(got, "error")
		case w.Created:
			got = append(got, fmt.Sprintf("created %d", w.Revision))
		default:
			var evs []string
			for _, ev := range w.Events {
				evs = append(evs, fmt.Sprintf("%s@%d", ev.KV.Key, ev.KV.ModRevision))
			}
			got = append(got, strings.Join(evs, " "))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the watch reported %q, want %q", got, want)
	}
}

// err returns the error that ended the watch.
func (r *recorder) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.got {
		if w.Err != nil {
			return w.Err
		}
	}
	return nil
}

// watch starts a watch whose responses are recorded.
func watch(
	t *testing.T, c *gateway.Client, key string, opts ...gateway.Option,
) (r *recorder, stop func()) {
	t.Helper()
	r = &recorder{}
	stop, err := c.WatchFunc(key, r.take, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r, stop
}
