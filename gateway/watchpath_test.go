package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// watchPath plays one member and the proxy before it, in fake time. It keeps a history of puts,
// serves watches in each mode, and can hold back kinds of stream.
type watchPath struct {
	*cluster

	mu       sync.Mutex
	rev      int64
	log      []logged
	streams  map[*pathStream]struct{}
	requests map[gateway.WatchMode][]time.Time
	creates  int
	// held are the kinds of stream that are never answered.
	held map[gateway.WatchMode]bool
	// uploadsHeld holds back later messages of the client on a shared stream.
	uploadsHeld bool
	// catchUp is how often watches of the past are served; 0: at once.
	catchUp time.Duration
	late    func() time.Duration // how late a stream is answered; nil: at once
}

type logged struct {
	key string
	rev int64
}

func newWatchPath(t *testing.T, held ...gateway.WatchMode) *watchPath {
	t.Helper()
	p := &watchPath{
		rev: 5, streams: map[*pathStream]struct{}{},
		requests: map[gateway.WatchMode][]time.Time{},
	}
	p.hold(held...)
	p.cluster = newCluster(t, 1, p.serve)
	return p
}

// hold sets which kinds of new streams are never answered. Open streams continue.
func (p *watchPath) hold(kinds ...gateway.WatchMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = map[gateway.WatchMode]bool{}
	for _, kind := range kinds {
		p.held[kind] = true
	}
}

func (p *watchPath) holdUploads() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uploadsHeld = true
}

// silence makes all open streams silent, as if their connections were dead.
func (p *watchPath) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.streams)
}

// put changes a key.
func (p *watchPath) put(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rev++
	p.log = append(p.log, logged{key, p.rev})
	for st := range p.streams {
		st.tell(logged{key, p.rev})
	}
}

// asked returns when streams of one kind were requested.
func (p *watchPath) asked(kind gateway.WatchMode) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests[kind])
}

// total counts the requests for streams of all kinds.
func (p *watchPath) total() int {
	return len(p.asked(gateway.WatchModeShared)) + len(p.asked(gateway.WatchModeFinite)) +
		len(p.asked(gateway.WatchModePolling))
}

// created counts the creates of watches that arrived.
func (p *watchPath) created() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.creates
}

// standing counts the streams that are being served.
func (p *watchPath) standing() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.streams)
}

func (p *watchPath) serve(w http.ResponseWriter, r request) {
	switch r.URL.Path {
	case "/version":
		answer(w, http.StatusOK, `{"etcdserver":"3.6.16","etcdcluster":"3.6.0"}`)
		return
	case "/v3/watch":
	default:
		ok(w)
		return
	}
	kind, limit := gateway.WatchModeShared, r.Header.Get("Grpc-Timeout")
	switch {
	case limit != "":
		kind = gateway.WatchModePolling
	case r.ContentLength > 0:
		kind = gateway.WatchModeFinite
	}
	st := &pathStream{
		p: p, kind: kind, began: time.Now(),
		watches: map[int64]string{}, wake: make(chan struct{}, 1), begun: make(chan struct{}),
		unread: r.ContentLength,
	}
	p.mu.Lock()
	p.requests[kind] = append(p.requests[kind], st.began)
	held := p.held[kind]
	if !held {
		p.streams[st] = struct{}{}
	}
	p.mu.Unlock()
	if held {
		hang(r)
		return
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.streams, st)
	}()
	go st.read(&pathBody{st, r.Body})
	st.write(r.Context(), w, limit)
}

// pathStream is one stream. All but the first fields are guarded by the mutex of the path.
type pathStream struct {
	p     *watchPath
	kind  gateway.WatchMode
	began time.Time
	wake  chan struct{}
	begun chan struct{} // closed when the answer has begun

	watches map[int64]string
	out     strings.Builder
	unread  int64
	lost    bool // the rest of the request is lost
}

// pathBody is the request of a stream.
type pathBody struct {
	st *pathStream
	r  io.Reader
}

func (b *pathBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.st.p.mu.Lock()
	defer b.st.p.mu.Unlock()
	if b.st.lost {
		return 0, io.EOF
	}
	b.st.unread -= int64(n)
	return n, err
}

// begin lets the answer begin. Go's server discards the unread rest of most requests then, because
// the proxy before it removes "Connection: close".
func (st *pathStream) begin() {
	st.p.mu.Lock()
	defer st.p.mu.Unlock()
	st.lost = st.kind != gateway.WatchModeShared && st.unread < 256<<10
	close(st.begun)
}

func (st *pathStream) say(line string) {
	st.out.WriteString(line)
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *pathStream) tell(ev logged) {
	for id, key := range st.watches {
		if key == ev.key {
			st.say(line(ev.rev, `"watch_id":"%d","events":[%s]`, id, kv(key, ev.rev)))
		}
	}
}

// read reads the messages of a request, each only after the answer to the first has begun.
func (st *pathStream) read(body io.Reader) {
	for dec := json.NewDecoder(body); ; {
		var m message
		if dec.Decode(&m) != nil {
			return
		}
		st.handle(m)
		if m.Create != nil {
			<-st.begun
		}
	}
}

func (st *pathStream) handle(m message) {
	p := st.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if st.kind == gateway.WatchModeShared && p.uploadsHeld && time.Now().After(st.began) {
		return
	}
	switch {
	case m.Create != nil:
		p.creates++
		id, key := m.Create.ID, string(m.Create.Key)
		st.say(created(id, p.rev))
		if p.catchUp == 0 || m.Create.Start == 0 || m.Create.Start > p.rev {
			st.begins(id, key, m.Create.Start)
			return
		}
		next := p.catchUp - time.Since(time.Time{})%p.catchUp
		time.AfterFunc(next, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			st.begins(id, key, m.Create.Start)
		})
	case m.Cancel != nil:
		delete(st.watches, m.Cancel.ID)
	case m.Progress != nil:
		st.say(progress(p.rev))
	}
}

// begins serves a watch from a revision, or from now on if it is 0.
func (st *pathStream) begins(id int64, key string, start int64) {
	st.watches[id] = key
	if start == 0 {
		return
	}
	log := st.p.log
	first := sort.Search(len(log), func(i int) bool { return log[i].rev >= start })
	for _, ev := range log[first:] {
		if ev.key == key {
			st.say(line(st.p.rev, `"watch_id":"%d","events":[%s]`, id, kv(key, ev.rev)))
		}
	}
}

// write sends the queued answers; on a poll only when its time is over.
func (st *pathStream) write(ctx context.Context, w http.ResponseWriter, limit string) {
	var over <-chan time.Time
	if limit != "" {
		d, _ := time.ParseDuration(strings.TrimSuffix(limit, "m") + "ms")
		over = time.After(d)
	}
	begin := sync.OnceFunc(st.begin)
	defer begin()
	if st.p.late != nil {
		time.Sleep(st.p.late())
	}
	for {
		select {
		case <-st.wake:
			if limit == "" {
				_, _ = io.WriteString(w, st.take())
			}
			_ = http.NewResponseController(w).Flush()
			begin()
		case <-over:
			_, _ = io.WriteString(w, st.take()+
				`{"error":{"code":4,"message":"context deadline exceeded"}}`+"\n")
			return
		case <-ctx.Done():
			return
		}
	}
}

func (st *pathStream) take() string {
	st.p.mu.Lock()
	defer st.p.mu.Unlock()
	out := st.out.String()
	st.out.Reset()
	return out
}

// tally records the reports of a watch of one key.
type tally struct {
	key  string
	made chan struct{} // closed when the watch is confirmed
	stop func()

	mu   sync.Mutex
	from int64
	got  []int64
	err  error
}

func (y *tally) take(r gateway.WatchResponse) {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch {
	case r.Err != nil:
		y.err = r.Err
	case r.Created:
		y.from = r.Revision
		close(y.made)
	}
	for _, ev := range r.Events {
		y.got = append(y.got, ev.KV.ModRevision)
	}
}

// count returns the number of events that were reported.
func (y *tally) count() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.got)
}

// begin makes a watch.
func begin(t *testing.T, c *gateway.Client, key string) *tally {
	t.Helper()
	y := &tally{key: key, made: make(chan struct{})}
	stop, err := c.WatchFunc(key, y.take)
	if err != nil {
		t.Fatal(err)
	}
	y.stop = stop
	t.Cleanup(stop)
	return y
}

// stand makes a watch, which must be confirmed within d.
func stand(t *testing.T, c *gateway.Client, key string, d time.Duration) *tally {
	t.Helper()
	y := begin(t, c, key)
	began := time.Now()
	select {
	case <-y.made:
	case <-time.After(d):
		t.Fatalf("watch %s: nothing after %v, mode %q", key, time.Since(began), modeOf(c))
	}
	return y
}

// check compares the watches' reports with the history.
func (p *watchPath) check(t *testing.T, all ...*tally) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, y := range all {
		y.mu.Lock()
		var want []int64
		for _, ev := range p.log {
			if ev.key == y.key && ev.rev > y.from {
				want = append(want, ev.rev)
			}
		}
		if y.err != nil || !slices.Equal(y.got, want) {
			t.Errorf("watch %s got %v and %v, want %v", y.key, y.got, y.err, want)
		}
		y.mu.Unlock()
	}
}

func modeOf(c *gateway.Client) gateway.WatchMode { return c.Endpoints()[0].WatchMode }
