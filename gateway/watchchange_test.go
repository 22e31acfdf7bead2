package gateway_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// heldPath plays a proxy whose kinds of stream can be held back and cut.
type heldPath struct {
	shared, finite, poll atomic.Int64 // delay in ms of answers; -1: never
	cutShared, cutFinite chan struct{}
	busy                 atomic.Bool
	fire                 chan struct{}
	start                time.Time
	mu                   sync.Mutex
	open                 map[int]time.Time
	n                    int
}

func (p *heldPath) rev() int64 {
	if !p.busy.Load() {
		return 5
	}
	return 5 + time.Since(p.start).Milliseconds()/10
}

func (p *heldPath) handle(w http.ResponseWriter, r request) {
	limit := r.Header.Get("Grpc-Timeout")
	kind, delay, cut := "shared", &p.shared, p.cutShared
	switch {
	case limit != "":
		kind, delay, cut = "poll", &p.poll, nil
	case r.ContentLength > 0:
		kind, delay, cut = "finite", &p.finite, p.cutFinite
	}
	if r.URL.Path == "/version" {
		answer(w, http.StatusOK, `{"etcdserver":"3.6.16","etcdcluster":"3.6.0"}`)
		return
	}
	began := time.Now()
	p.mu.Lock()
	p.n++
	n := p.n
	p.open[n] = began
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, n)
	}()
	ids := make(chan string, 1000)
	var mine []int64
	var mineMu sync.Mutex
	var held strings.Builder
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sc := bufio.NewScanner(r.Body)
		for sc.Scan() {
			var m message
			if json.Unmarshal(sc.Bytes(), &m) == nil {
				if m.Create != nil {
					mineMu.Lock()
					mine = append(mine, m.Create.ID)
					mineMu.Unlock()
					ids <- created(m.Create.ID, p.rev())
				} else if m.Progress != nil {
					ids <- progress(5)
				}
			}
		}
	}()
	var over <-chan time.Time
	if limit != "" {
		var ms int
		_, _ = fmt.Sscanf(limit, "%dm", &ms)
		over = time.After(time.Duration(ms) * time.Millisecond)
	}
	for {
		select {
		case l := <-ids:
			d := delay.Load()
			if d < 0 {
				<-r.Context().Done()
				return
			}
			if left := time.Duration(d)*time.Millisecond - time.Since(began); left > 0 {
				select {
				case <-time.After(left):
				case <-r.Context().Done():
					return
				}
			}
			if kind == "poll" {
				held.WriteString(l)
				continue
			}
			_, _ = w.Write([]byte(l))
			_ = http.NewResponseController(w).Flush()
		case <-over:
			_, _ = w.Write([]byte(held.String() +
				`{"error":{"code":4,"message":"context deadline exceeded"}}` + "\n"))
			return
		case <-p.fire:
			mineMu.Lock()
			for _, id := range mine {
				_, _ = w.Write([]byte(events(id, kv("k", 1000000))))
			}
			mineMu.Unlock()
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		case <-cut:
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

func newHeldPath(t *testing.T) (*heldPath, *gateway.Client) {
	t.Helper()
	p := &heldPath{
		fire: make(chan struct{}), cutShared: make(chan struct{}), cutFinite: make(chan struct{}),
		start: time.Now(), open: map[int]time.Time{},
	}
	return p, newCluster(t, 1, p.handle).client(t)
}

func tryWatch(t *testing.T, c *gateway.Client, key string, d time.Duration) {
	t.Helper()
	start := time.Now()
	ok := make(chan error, 1000)
	stop, err := c.WatchFunc(key, func(r gateway.WatchResponse) {
		if r.Created || r.Err != nil {
			ok <- r.Err
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	select {
	case err := <-ok:
		if err != nil {
			t.Errorf("watch %s: %v", key, err)
		}
	case <-time.After(d):
		t.Errorf("watch %s: nothing after %v, mode %q",
			key, time.Since(start), c.Endpoints()[0].WatchMode)
	}
}

// TestALateSharedStreamIsUsedUntilItIsCut: a shared stream that opens late is used, and its end is
// noticed.
func TestALateSharedStreamIsUsedUntilItIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := newHeldPath(t)
		p.shared.Store(1500)
		tryWatch(t, c, "a", 5*time.Second)
		time.Sleep(10 * time.Second)
		p.shared.Store(0)
		p.cutShared <- struct{}{}
		time.Sleep(5 * time.Second)
		tryWatch(t, c, "b", 10*time.Minute)
	})
}

// TestALateFiniteStreamReplacesItsPoll: a finite stream that opens after a poll replaces it, and
// later watches are placed on streams.
func TestALateFiniteStreamReplacesItsPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := newHeldPath(t)
		p.shared.Store(-1)
		tryWatch(t, c, "a", 5*time.Second)
		time.Sleep(5 * time.Second)
		p.finite.Store(1200)
		p.cutFinite <- struct{}{}
		time.Sleep(10 * time.Second)
		p.finite.Store(0)
		tryWatch(t, c, "b", 10*time.Minute)
	})
}

// TestEveryFiniteStreamIsCheckedForLife: every finite stream is checked for life, even if its
// watches could not be moved.
func TestEveryFiniteStreamIsCheckedForLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := newHeldPath(t)
		p.busy.Store(true)
		p.shared.Store(-1)
		tryWatch(t, c, "first", 5*time.Second)
		time.Sleep(5 * time.Second)
		p.finite.Store(250)
		for i := range 14 {
			stop, err := c.WatchFunc(fmt.Sprint("w", i), func(r gateway.WatchResponse) {})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			time.Sleep(110 * time.Millisecond)
		}
		p.finite.Store(0)
		time.Sleep(5 * time.Minute)
		p.mu.Lock()
		defer p.mu.Unlock()
		for n, b := range p.open {
			age := time.Since(b)
			if age > 2*time.Minute {
				t.Errorf("stream %d of %v: never renewed", n, age)
			}
		}
	})
}

// TestAWatchConfirmedDuringAChangeOfModeGetsItsEvents: a watch that is confirmed while the mode
// changes receives its events, once.
func TestAWatchConfirmedDuringAChangeOfModeGetsItsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := newHeldPath(t)
		p.busy.Store(true)
		p.shared.Store(-1)
		p.finite.Store(-1)
		tryWatch(t, c, "first", 5*time.Second)
		p.finite.Store(60)
		time.Sleep(15400*time.Millisecond - time.Since(p.start))
		var got, confirmed [100]atomic.Int64
		for i := range 100 {
			stop, err := c.WatchFunc(fmt.Sprint("w", i), func(r gateway.WatchResponse) {
				if r.Created {
					confirmed[i].Add(1)
				}
				if len(r.Events) > 0 {
					got[i].Add(1)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		close(p.fire)
		time.Sleep(time.Second)
		for i := range 100 {
			if confirmed[i].Load() != 1 || got[i].Load() != 1 {
				t.Errorf("watch %d: confirmed %d, events %d", i, confirmed[i].Load(), got[i].Load())
			}
		}
	})
}

type alertBody struct{}

func (*alertBody) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "remote error", Err: tls.AlertError(49)}
}
func (*alertBody) Close() error { return nil }

// TestAnAlertWithinAnAnswerLeavesTheWriteInDoubt: a write whose answer had begun is not reported as
// never sent.
func TestAnAlertWithinAnAnswerLeavesTheWriteInDoubt(t *testing.T) {
	n := 0
	c := newClient(t,
		gateway.Config{
			Endpoints: []string{"https://a:2379"},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				n++
				res := reply(200, "")
				res.Body = &alertBody{}
				return res, nil
			}),
		})
	_, err := c.Txn(t.Context(), gateway.Txn{Then: []gateway.Op{gateway.OpPut("k", []byte("v"))}})
	if !errors.Is(err, gateway.ErrUncertain) {
		t.Error("a write whose 200 had begun to come is reported as never sent")
	}
}
