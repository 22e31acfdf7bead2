package proxies_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// The ways in which a client watches, as gateway.Client.Endpoints reports them.
const (
	shared  = "shared"
	finite  = "finite"
	polling = "polling"
)

// row is one way to reach etcd.
type row struct {
	name  string // the configuration, if the row has one
	start func(*testing.T, string) path
	mode  string
	bar   time.Duration // for the median hand-over
}

// Bars for the median hand-over.
const (
	prompt = 20 * time.Millisecond
	polled = time.Second
	// held is the bar for a shared stream through haproxy without "option http-no-delay". haproxy
	// sends each chunk of an answer with MSG_MORE, as if more data followed, and the kernel holds
	// it back for 40 to 200 ms.
	held = 400 * time.Millisecond
)

var rows = []row{
	{"direct", direct, shared, prompt},

	{"nginx/plain.conf", startProxy, polling, polled},
	{"nginx/unbuffered-answers.conf", startProxy, finite, prompt},
	{"nginx/keepalive.conf", startProxy, finite, prompt},
	{"nginx/keepalive-unbuffered.conf", startProxy, finite, prompt},
	{"nginx/unbuffered-requests.conf", startProxy, shared, prompt},
	{"nginx/streaming.conf", startProxy, shared, prompt},
	{"nginx/prefix.conf", underPrefix, shared, prompt},
	{"nginx/tls-http2.conf", startProxy, shared, prompt},
	{"nginx/timeouts-5s.conf", startProxy, shared, prompt},
	{"nginx/timeouts-5s-unbuffered-answers.conf", startProxy, finite, prompt},
	{"nginx/ingress.conf", startProxy, finite, prompt},

	{"haproxy/plain.cfg", startProxy, finite, prompt},
	{"haproxy/timeouts-5s.cfg", startProxy, finite, prompt},
	{"haproxy/timeouts-1h.cfg", startProxy, finite, prompt},
	{"haproxy/leastconn.cfg", startProxy, finite, prompt},
	{"haproxy/buffer-request.cfg", startProxy, finite, prompt},
	{"haproxy/keepalive-no-delay.cfg", startProxy, finite, prompt},
	{"haproxy/server-close.cfg", startProxy, shared, held},
	{"haproxy/no-delay.cfg", startProxy, shared, prompt},
	{"haproxy/tcp.cfg", startProxy, shared, prompt},

	{"httputil.ReverseProxy", reverse(0), finite, prompt},
	{"httputil.ReverseProxy, FlushInterval -1", reverse(-1), finite, prompt},
}

// modeOf returns how the client watches at its endpoint.
func modeOf(c *gateway.Client) string { return string(c.Endpoints()[0].WatchMode) }

// restLimit is how many requests a second a client may send while it waits and nothing happens.
const restLimit = 2.0

// TestWatchesNotifyInTimeThroughProxies: on each path, a mutex, an observer and a queue work
// through activity and idleness. They notify their users within the time that the way of watching
// allows.
func TestWatchesNotifyInTimeThroughProxies(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, r.start(t, r.name))
			p := chosenPace()
			s.settle(r.mode)
			busy := s.busy(p)
			handover, observe, queue := median(busy[0]), median(busy[1]), median(busy[2])
			mode := modeOf(s.b.client)
			rest := s.idle(p)
			t.Logf("figure: %s: watches %s; hand-over %v, Observe %v, queue %v (medians of %d, "+
				"%d, %d); at rest %s", r.name, mode,
				ms(handover), ms(observe), ms(queue), len(busy[0]), len(busy[1]), len(busy[2]),
				rest)
			s.loss()
			if mode != r.mode {
				t.Errorf("watches became %q, want %q", mode, r.mode)
			}
			if handover > r.bar {
				t.Errorf("the median hand-over took %v, over %v", handover, r.bar)
			}
			if rest.most() > restLimit {
				t.Errorf("at rest %s, over %v of one client", rest, restLimit)
			}
		})
	}
}
