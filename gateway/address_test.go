package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestRequestsAndStreamsWorkOverASocketFile: requests, plain pages and streams work over a socket
// file. Two socket files are two endpoints.
func TestRequestsAndStreamsWorkOverASocketFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("socket files are something else there")
	}
	dir, err := os.MkdirTemp("", "") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	var urls []string
	for i := range 2 {
		file := filepath.Join(dir, fmt.Sprintf("Sock et%d", i))
		l, err := net.Listen("unix", file)
		if err != nil {
			t.Fatal(err)
		}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "localhost" {
				t.Errorf("asked for host %q", r.Host)
			}
			switch r.URL.Path {
			case "/version":
				answer(w, 200, `{"etcdserver":"3.6.0"}`)
			case "/v3/watch":
				createWatch(w, r)
			default:
				answer(w, 200, fmt.Sprintf(`{"header":{"cluster_id":"14841639068965178418",`+
					`"member_id":"%d","revision":"5"}}`, i+1))
			}
		})
		server := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
		server.Start()
		t.Cleanup(server.Close)
		urls = append(urls, "unix://"+strings.ReplaceAll(file, " ", "%20"))
	}
	c := newClient(t, gateway.Config{Endpoints: urls, Username: "root", Password: canaryPassword})
	ctx := within(t, 10*time.Second)
	plain := newClient(t, gateway.Config{Endpoints: urls})
	if _, err := plain.Put(ctx, "k", nil); err != nil {
		t.Error(err)
	}
	for i, url := range urls {
		s, err := plain.Member(url).Status(ctx)
		if err != nil || s.MemberID != uint64(i+1) {
			t.Errorf("%s: %+v, %v", url, s, err)
		}
		if v, err := c.Member(url).Version(ctx); err != nil || v.Server != "3.6.0" {
			t.Errorf("%s: %+v, %v", url, v, err)
		}
	}
	w, err := plain.Watch(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	for _, s := range plain.Endpoints() {
		if !strings.HasPrefix(s.URL, "unix://"+dir) {
			t.Errorf("an endpoint %s", s.URL)
		}
	}
	gone := newClient(t, gateway.Config{Endpoints: []string{"unix://" + dir + "/none"}})
	_, err = gone.Get(within(t, 200*time.Millisecond), "k")
	wantErr(t, err, list(gateway.ErrUnavailable), nil)
	if err != nil && (!strings.Contains(err.Error(), "unix://"+dir+"/none") ||
		strings.Contains(err.Error(), "invalid")) {
		t.Errorf("the error shows another address: %v", err)
	}
	_, err = plain.Member("http://127.0.0.1:1").Version(ctx) // other endpoints still get there
	wantErr(t, err, list(gateway.ErrUnavailable), nil)
}

// TestAnEndpointMayHaveAnIPv6Address needs the loopback address of IPv6.
func TestAnEndpointMayHaveAnIPv6Address(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6:", err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	c := newClient(t, gateway.Config{Endpoints: []string{"http://" + l.Addr().String()}})
	if _, err := c.Put(within(t, 10*time.Second), "k", nil); err != nil {
		t.Error(err)
	}
	if _, err := c.Member("http://" +
		l.Addr().String()).Status(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
}

// createWatch confirms the first watch of a stream, and serves it no further.
func createWatch(w http.ResponseWriter, r *http.Request) {
	var m message
	if json.NewDecoder(r.Body).Decode(&m) == nil && m.Create != nil {
		answer(w, 200,
			fmt.Sprintf(`{"result":{%s,"created":true,"watch_id":"%d"}}`+"\n", header, m.Create.ID))
		_ = http.NewResponseController(w).Flush() // the client has gone, if not
		_, _ = io.Copy(io.Discard, r.Body)        // until it is
	}
}

// dialThrough plays a socket file that leads to a fake member.
func dialThrough(
	cl *cluster, member string,
) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network == "unix" {
			addr = member
		}
		return cl.net.Dial(ctx, network, addr)
	}
}
