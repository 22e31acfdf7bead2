package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// counted is a proxy before the shared cluster that counts requests and the bytes of the answers.
type counted struct {
	url             string
	requests, bytes atomic.Int64
}

type countedBody struct {
	io.ReadCloser
	of *counted
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.of.bytes.Add(int64(n))
	return n, err
}

func countRequests(t *testing.T) *counted {
	t.Helper()
	target, err := url.Parse(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	transport := &http.Transport{DisableCompression: true}
	proxy.Transport = transport
	proxy.ModifyResponse = func(resp *http.Response) error {
		c.requests.Add(1)
		resp.Body = &countedBody{resp.Body, c}
		return nil
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	c.url = s.URL
	return c
}

// TestARefusalCostsTheSameWithManyWaiters: a refused try costs the same with any number of waiters,
// and names the holder.
func TestARefusalCostsTheSameWithManyWaiters(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	s := newSession(t)
	for _, args := range [][]string{
		{"lock", "-n"},
		{"elect", "-n"},
		{"semaphore", "--limit", "1", "-n"},
		{"barrier", "wait", "-w", "0"},
	} {
		name := fresh(t)
		line := append(append([]string{}, args...), name)
		switch args[0] {
		case "elect":
			line = append(line, "value")
			start(t, "elect", name, "me").line()
		case "semaphore":
			start(t, "semaphore", "--limit", "1", name).line()
		default:
			start(t, "lock", name).line()
		}
		var costs [2][2]int64
		n := 0
		for i, waiters := range []int{1, 1000} {
			for ; n < waiters; n++ { // like other tasks of one session
				key := fmt.Sprintf("%s/%s-%d", name, s.Lease(), n+1)
				if _, err := c.Put(within(t, patience), key, []byte("1"),
					gateway.WithLease(s.Lease())); err != nil {
					t.Fatal(err)
				}
			}
			p := countRequests(t)
			text := complain(t, 1, append([]string{"--endpoints", p.url}, line...)...)
			if args[0] != "barrier" && !strings.Contains(text, "held by") {
				t.Errorf("%v: %s", args, text)
			}
			costs[i] = [2]int64{p.requests.Load(), p.bytes.Load()}
		}
		recipetest.Figure(t,
			"%s is refused with 1 waiter by %d requests and %d bytes, with 1,000 by %d and %d",
			args[0], costs[0][0], costs[0][1], costs[1][0], costs[1][1])
		most := costs[0][1] + 8<<10
		if args[0] == "semaphore" {
			most += 1000 * 250 // the recipe reads the waiters once to count them
		}
		if costs[1][0] > costs[0][0]+1 || costs[1][1] > most {
			t.Errorf("%s: %v", args[0], costs)
		}
	}
}

// TestARefusalNamesAllHoldersInJSON: the JSON contains all holders, even if they are more than the
// first request reads.
func TestARefusalNamesAllHoldersInJSON(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	const holders = 12
	for range holders {
		start(t, "semaphore", "--limit", fmt.Sprint(holders), name).line()
	}
	r := start(t, "--json", "semaphore", "-n", "--limit", fmt.Sprint(holders), name, "--", "true")
	r.want(1)
	if n := strings.Count(r.stderr.String(), `"state":"holds"`); n != holders {
		t.Errorf("%d holders: %s", n, r.stderr.String())
	}
}
