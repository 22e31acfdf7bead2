package queue_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// meter counts the requests for keys, and the bytes of their answers.
type meter struct {
	to              *http.Transport
	client          *gateway.Client // which has it as its transport
	requests, bytes atomic.Int64
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := m.to.RoundTrip(r)
	if err == nil && strings.Contains(r.URL.Path, "/kv/") {
		m.requests.Add(1)
		resp.Body = &metered{resp.Body, m}
	}
	return resp, err
}

type metered struct {
	io.ReadCloser

	m *meter
}

func (b *metered) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.m.bytes.Add(int64(n))
	return n, err
}

// cost is the cost of one call.
type cost struct {
	took            time.Duration
	requests, bytes int64
}

// of measures a call.
func (m *meter) of(call func()) cost {
	requests, bytes, begin := m.requests.Load(), m.bytes.Load(), time.Now()
	call()
	return cost{time.Since(begin), m.requests.Load() - requests, m.bytes.Load() - bytes}
}

// meteredSession returns a session of a client that is connected, also for watches.
func meteredSession(t *testing.T) (_ *session.Session, _ *meter, end func()) {
	t.Helper()
	m := &meter{to: &http.Transport{}}
	c := newClient(t, gateway.Config{Transport: m})
	m.client = c
	s := newSession(t, c, nil)
	isEmpty(t, queue.New(s, fresh(t), nil))
	return s, m, func() {
		_ = s.Close(within(t, patience))
		_ = c.Close()
		m.to.CloseIdleConnections()
	}
}

// backlogs are the ways in which items wait.
var backlogs = map[string]func(i int) (place, group string){
	"ready":             func(i int) (string, string) { return readyAt(i), "" },
	"delayed":           func(i int) (string, string) { return delayedAt(i), "" },
	"of 10,000 groups":  func(i int) (string, string) { return readyAt(i), fmt.Sprint(i % 10_000) },
	"of a single group": func(i int) (string, string) { return readyAt(i), "g" },
}

func readyAt(i int) string { return fmt.Sprintf("q/9/%016d", i+1) }

func delayedAt(i int) string {
	due := time.Now().Add(24*time.Hour).UnixMilli() + int64(i)
	return fmt.Sprintf("d/%015d/%s", due, backlogID(i))
}

func backlogID(i int) string { return fmt.Sprintf("b-%09d", i) }

// fillRaw puts a backlog as docs/keys.md describes it, which takes less time than Enqueue.
func fillRaw(t *testing.T, name string, items int, at func(i int) (place, group string)) {
	t.Helper()
	c := newClient(t, gateway.Config{})
	var all sync.WaitGroup
	for from := 0; from < items; from += 100 {
		var ops []gateway.Op
		for i := from; i < min(from+100, items); i++ {
			key, group := at(i)
			head := fmt.Sprintf("{\"id\":%q,\"enqueued\":1}\n", backlogID(i))
			if group != "" {
				key += "/" + group
				head = fmt.Sprintf("{\"id\":%q,\"enqueued\":1,\"group\":%q}\n",
					backlogID(i), group)
			}
			ops = append(ops, gateway.OpPut(name+"//"+key, []byte(head)))
		}
		all.Go(func() {
			if _, err := c.Txn(within(t, 5*patience), gateway.Txn{Then: ops}); err != nil {
				t.Error(err)
			}
		})
		if from/100%8 == 7 {
			all.Wait()
		}
	}
	all.Wait()
	next := 1
	if key, _ := at(0); strings.HasPrefix(key, "q/") {
		next += items
	}
	tail := fmt.Appendf(nil, "%d %d", next, items)
	if _, err := c.Put(within(t, patience), name+"//tail", tail); err != nil {
		t.Fatal(err)
	}
}

// counts is the call whose time grows with the items, because etcd counts them.
const counts = "Stats"

// TestAnItemCostsTheSameWithALargeBacklog: a call sends as many requests, and reads as many bytes,
// beside many items that wait as beside few, by a Queue in use and by a new client. With
// HOLDFAST_QUEUE_ITEMS it also takes as long.
func TestAnItemCostsTheSameWithALargeBacklog(t *testing.T) {
	large := number(t, 2000)
	sizes, rounds := []int{1, 100, large}, 6
	if os.Getenv(itemsVar) != "" {
		sizes, rounds = []int{1, 100, large / 10, large}, 61
	}
	for what, at := range backlogs {
		for limit, opts := range map[string]*queue.Options{
			"": nil, ", with MaxLength": {MaxLength: 10_000_000},
		} {
			t.Run(what+limit, func(t *testing.T) {
				s, m, _ := meteredSession(t)
				var names []string
				var queues []*queue.Queue
				for _, n := range sizes {
					name := fresh(t)
					fillRaw(t, name, n, at)
					names, queues = append(names, name), append(queues, queue.New(s, name, opts))
				}
				all := costs{}
				for round := range rounds {
					for i, q := range queues {
						into := all
						if round == 0 { // it reads the queue
							into = costs{}
						}
						into.measure(t, "", i, q, m)
					}
					if round%3 > 0 {
						continue
					}
					for i, name := range names {
						other, m, end := meteredSession(t)
						all.measure(t, " by a new client", i, queue.New(other, name, opts), m)
						end()
					}
				}
				all.compare(t, sizes)
			})
		}
	}
}

// costs holds the costs of each call, beside each backlog.
type costs map[string]map[int][]cost

// measure puts an item, receives the first, and looks at the queue.
func (all costs) measure(t *testing.T, by string, backlog int, q *queue.Queue, m *meter) {
	t.Helper()
	var msg *queue.Message
	var err error
	for _, c := range []struct {
		name string
		call func(ctx context.Context)
	}{
		{"Enqueue", func(ctx context.Context) { _, err = q.Enqueue(ctx, nil, nil) }},
		{"TryReceive", func(ctx context.Context) { msg, err = q.TryReceive(ctx) }},
		{"Ack", func(ctx context.Context) { err = msg.Ack(ctx) }},
		{counts, func(ctx context.Context) { _, err = q.Stats(ctx) }},
		{"Peek", func(ctx context.Context) { _, err = q.Peek(ctx, 1) }},
	} {
		ctx := within(t, patience)
		recipetest.Marked(t, m.client) // else TryReceive may have to read the item
		took := m.of(func() { c.call(ctx) })
		if err != nil {
			t.Fatal(err)
		}
		of := all[c.name+by]
		if of == nil {
			of = map[int][]cost{}
			all[c.name+by] = of
		}
		of[backlog] = append(of[backlog], took)
	}
}

// compare compares the medians beside the largest backlog with the two smallest ones. Bytes are
// compared with the second, because a first read takes several items.
func (all costs) compare(t *testing.T, sizes []int) {
	t.Helper()
	const most = 1.5
	for call, of := range all {
		var took, requests, bytes []int64
		for i := range sizes {
			took = append(took, middle(of[i], func(c cost) int64 { return c.took.Microseconds() }))
			requests = append(requests, middle(of[i], func(c cost) int64 { return c.requests }))
			bytes = append(bytes, middle(of[i], func(c cost) int64 { return c.bytes }))
		}
		figure(t, "%s beside %d items: %d us, %d requests, %d bytes",
			call, sizes, took, requests, bytes)
		grows := func(of []int64, first int) bool {
			return float64(slices.Max(of[first:])) > most*float64(of[first])
		}
		if grows(requests, 0) || grows(bytes, 1) {
			t.Errorf("%s beside %d items: %d requests, %d bytes", call, sizes, requests, bytes)
		}
		few, many := max(took[0], took[1]), took[len(took)-1]
		if len(sizes) > 3 && float64(many) > most*float64(few) && !strings.HasPrefix(call, counts) {
			t.Errorf("%s beside %d items: %d us", call, sizes, took)
		}
	}
}

func middle(all []cost, of func(c cost) int64) int64 {
	var values []int64
	for _, c := range all {
		values = append(values, of(c))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
