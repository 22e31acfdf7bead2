package faultproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

func TestRules(t *testing.T) {
	for _, test := range []struct {
		name     string
		action   faultproxy.Action
		answered bool
		puts     int // how often the target executed the request
		atLeast  time.Duration
	}{
		{name: "drop", action: faultproxy.Drop, puts: 1},
		{name: "refuse", action: faultproxy.Refuse, puts: 0},
		{name: "duplicate", action: faultproxy.Duplicate, answered: true, puts: 2},
		{
			name: "delay before", action: faultproxy.DelayBefore(100 * time.Millisecond),
			answered: true, puts: 1, atLeast: 100 * time.Millisecond,
		},
		{
			name: "delay after", action: faultproxy.DelayAfter(100 * time.Millisecond), answered: true,
			puts: 1, atLeast: 100 * time.Millisecond,
		},
		{
			name: "duplicate later", action: faultproxy.DuplicateLater(50 * time.Millisecond),
			answered: true, puts: 2,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newHTTPProxy(t)
			key := newKey(t)
			mustPut(t, p, key)

			rule := p.Add(faultproxy.Rule{Match: isPut, Skip: 1, Times: 1, Action: test.action})
			mustPut(t, p, key) // skipped
			start := time.Now()
			err := put(t.Context(), p, key)
			if took := time.Since(start); took < test.atLeast {
				t.Errorf("took %v, want %v or more", took, test.atLeast)
			}
			if answered := err == nil; answered != test.answered {
				t.Errorf("put: got %v, want an answer: %v", err, test.answered)
			}
			if err := rule.WaitHits(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if got, want := version(t, key), 2+test.puts; got != want {
				t.Errorf("version: got %d, want %d", got, want)
			}

			mustPut(t, p, key) // the rule is used up
			if rule.Hits() != 1 || rule.Seen() != 3 {
				t.Errorf("got %d hits of %d seen, want 1 of 3", rule.Hits(), rule.Seen())
			}
		})
	}
}

func TestHangLastsUntilTheClientGivesUp(t *testing.T) {
	p := newHTTPProxy(t)
	key := newKey(t)
	rule := p.Add(faultproxy.Rule{Match: isPut, Action: faultproxy.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := put(ctx, p, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put: got %v, want a deadline error", err)
	}
	if rule.Hits() != 1 || version(t, key) != 1 {
		t.Errorf("got %d hits and version %d, want 1 and 1", rule.Hits(), version(t, key))
	}

	hung := make(chan error, 1)
	go func() { hung <- put(t.Context(), p, key) }()
	if err := rule.WaitHits(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	p.Clear()
	if err := <-hung; err == nil {
		t.Error("a hung put was answered")
	}
	mustPut(t, p, key)
}

func TestALateRequestReachesTheTargetWithoutItsClient(t *testing.T) {
	p := newHTTPProxy(t)
	key := newKey(t)
	p.Add(faultproxy.Rule{
		Match: isPut, Times: 1,
		Action: faultproxy.DelayBefore(200 * time.Millisecond),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := put(ctx, p, key); err == nil {
		t.Fatal("a delayed put was answered in time")
	}
	mustPut(t, p, key)
	for deadline := time.Now().Add(10 * time.Second); version(t, key) != 2; {
		if time.Now().After(deadline) {
			t.Fatal("the late copy did not arrive")
		}
	}
}

func TestRemoveAndOrderOfRules(t *testing.T) {
	p := newHTTPProxy(t)
	first := p.Add(faultproxy.Rule{Match: isPut, Action: faultproxy.Refuse})
	second := p.Add(faultproxy.Rule{Action: faultproxy.Drop})
	if put(t.Context(), p, t.Name()) == nil || first.Hits() != 1 || second.Seen() != 0 {
		t.Errorf("the rule added first was not carried out")
	}
	first.Remove()
	if put(t.Context(), p, t.Name()) == nil || first.Hits() != 1 || second.Hits() != 1 {
		t.Errorf("the rule left was not carried out")
	}
	second.Remove()
	mustPut(t, p, t.Name())
}

func TestWatchIsFullDuplex(t *testing.T) {
	p := newHTTPProxy(t)
	p.Add(faultproxy.Rule{Match: faultproxy.Path("/v3/kv/range"), Action: faultproxy.Refuse})
	prefix := newKey(t)
	body, say := io.Pipe()
	defer say.Close()
	lines := openWatch(t, p, body, func() { sayCreate(t, say, prefix+"a") })
	expectLine(t, lines, `"created":true`)
	sayCreate(t, say, prefix+"b")
	expectLine(t, lines, `"watch_id":"1","created":true`)
	mustPut(t, p, prefix+"b")
	expectLine(t, lines, `"events"`)
}

func TestWatchWithACompleteRequestStreams(t *testing.T) {
	p := newHTTPProxy(t)
	key := newKey(t)
	create := strings.NewReader(`{"create_request":{"key":"` + encode(key) + `"}}`)
	lines := openWatch(t, p, create, func() {})
	expectLine(t, lines, `"created":true`)
	mustPut(t, p, key)
	expectLine(t, lines, `"events"`)
}

func TestRulesApplyToStreams(t *testing.T) {
	for _, action := range []faultproxy.Action{
		faultproxy.Drop, faultproxy.Refuse,
		faultproxy.Hang,
	} {
		p := newHTTPProxy(t)
		rule := p.Add(faultproxy.Rule{Match: func(r *faultproxy.Request) bool {
			return r.Stream
		}, Times: 1, Action: action})
		done := make(chan error, 1)
		go func() {
			resp, err := http.Post(p.URL()+"/v3/watch", "application/json",
				strings.NewReader(`{"create_request":{"key":"`+encode(t.Name())+`"}}`))
			if err == nil {
				err = errors.Join(resp.Body.Close(), errors.New("answered"))
			}
			done <- err
		}()
		if err := rule.WaitHits(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		p.Clear()
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Errorf("watch: got %v, want EOF", err)
		}
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	p := newHTTPProxy(t)
	const clients, puts, dropped = 16, 50, 100
	rule := p.Add(faultproxy.Rule{Match: isPut, Times: dropped, Action: faultproxy.Drop})
	var failed sync.Map
	var all sync.WaitGroup
	prefix := newKey(t)
	for i := range clients {
		all.Go(func() {
			for j := range puts {
				if err := put(t.Context(), p, fmt.Sprint(prefix, i)); err != nil {
					failed.Store([2]int{i, j}, err)
				}
			}
		})
	}
	all.Wait()
	failures := 0
	failed.Range(func(_, _ any) bool { failures++; return true })
	if failures != dropped || rule.Hits() != dropped {
		t.Errorf("%d puts failed and %d were dropped, want %d", failures, rule.Hits(), dropped)
	}
	for i := range clients {
		if got := version(t, fmt.Sprint(prefix, i)); got != puts {
			t.Errorf("client %d: %d of %d puts were executed", i, got, puts)
		}
	}
}

func TestNewHTTPRefusesTLS(t *testing.T) {
	if _, err := faultproxy.NewHTTP("https://127.0.0.1:1"); err == nil {
		t.Error("NewHTTP accepted an https target")
	}
}

func TestCloseEndsHungRequestsAndStreams(t *testing.T) {
	p := newHTTPProxy(t)
	body, say := io.Pipe()
	defer say.Close()
	lines := openWatch(t, p, body, func() { sayCreate(t, say, t.Name()) })
	expectLine(t, lines, `"created":true`)
	rule := p.Add(faultproxy.Rule{Match: isPut, Action: faultproxy.Hang})
	hung := make(chan error, 1)
	go func() { hung <- put(t.Context(), p, t.Name()) }()
	if err := rule.WaitHits(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-hung; err == nil {
		t.Error("a hung put was answered")
	}
	for lines.Scan() {
	}
}

var isPut = faultproxy.Path("/v3/kv/put")

func newHTTPProxy(t *testing.T) *faultproxy.HTTPProxy {
	t.Helper()
	p, err := faultproxy.NewHTTP(member.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// newKey returns a key that no other test or run uses.
func newKey(t *testing.T) string { return t.Name() + "/" + rand.Text() }

func encode(key string) string { return base64.StdEncoding.EncodeToString([]byte(key)) }

func put(ctx context.Context, p *faultproxy.HTTPProxy, key string) error {
	_, err := call(ctx, p.URL()+"/v3/kv/put", `{"key":"`+encode(key)+`"}`)
	return err
}

func mustPut(t *testing.T, p *faultproxy.HTTPProxy, key string) {
	t.Helper()
	if err := put(t.Context(), p, key); err != nil {
		t.Fatal(err)
	}
}

// version reads from the member itself how often a key was written.
func version(t *testing.T, key string) int {
	t.Helper()
	data, err := call(t.Context(), member.Endpoint()+"/v3/kv/range", `{"key":"`+encode(key)+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Kvs []struct{ Version string } }
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Kvs) == 0 {
		return 0
	}
	n, err := strconv.Atoi(answer.Kvs[0].Version)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func call(ctx context.Context, url, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, data)
	}
	return data, err
}

// openWatch opens a watch and returns its lines. It calls first before it waits for the answer.
func openWatch(t *testing.T, p *faultproxy.HTTPProxy, body io.Reader, first func()) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL()+"/v3/watch", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	var talk sync.WaitGroup
	talk.Go(first)
	resp, err := http.DefaultClient.Do(req)
	talk.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return bufio.NewScanner(resp.Body)
}

func sayCreate(t *testing.T, w io.Writer, key string) {
	t.Helper()
	if _, err := io.WriteString(w,
		`{"create_request":{"key":"`+encode(key)+`"}}`+"\n"); err != nil {
		t.Error(err)
	}
}

func expectLine(t *testing.T, lines *bufio.Scanner, part string) {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("stream ended: %v", lines.Err())
	}
	if !strings.Contains(lines.Text(), part) {
		t.Fatalf("got line %s, want %s in it", lines.Text(), part)
	}
}
