package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// The outcome of a read from a bad server is one of the first two, the outcome of a write one of
// the others.
var (
	readFinal = list(gateway.ErrProtocol) // repeating does not help
	tooLarge  = list(gateway.ErrResponseTooLarge)
	// it was repeated until the context ended
	readGoesOn    = list(gateway.ErrUnavailable, context.DeadlineExceeded)
	writeUnknown  = list(gateway.ErrUncertain) // it may have been applied
	writeDefinite = list()                     // it was not applied
	never         = list(gateway.ErrInvalid, gateway.ErrPermissionDenied,
		gateway.ErrLeaseNotFound, gateway.ErrCompacted)
)

func html(status int) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, r request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<html><h1>%d</h1>%s</html>", status, r.body)
	}
}

func text(status int, body string) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func body(s string) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) { answer(w, http.StatusOK, s) }
}

// raw takes the connection over and writes the result of f.
func raw(f func(conn net.Conn)) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		f(conn)
	}
}

func gzipped(n int) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write([]byte("{" + header + strings.Repeat(" ", n) + "}"))
	_ = z.Close()
	return buf.Bytes()
}

func encoded(n int) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipped(n))
	}
}

func TestABadServerIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	for _, tt := range []struct {
		name        string
		handle      func(http.ResponseWriter, request)
		read, write []error
		says        string
	}{
		{"HTML 502", html(502), readGoesOn, writeUnknown, "HTTP 502, text/html"},
		{"HTML 503", html(503), readGoesOn, writeUnknown, "HTTP 503, text/html"},
		{"text 408", text(408, "slow"), readGoesOn, writeUnknown, "HTTP 408"},
		{"text 429 of a proxy", text(429, "slow down"), readGoesOn, writeDefinite, "HTTP 429"},
		{"JSON 503 of a proxy", func(w http.ResponseWriter, _ request) {
			answer(w, 503, `{"code":503,"message":"no backend"}`)
		}, readGoesOn, writeUnknown, "HTTP 503"},
		{
			"text 404", text(404, "404 page not found\n"), readFinal,
			writeDefinite, "HTTP 404, text/plain",
		},
		{"404 of etcd 3.6", func(w http.ResponseWriter, _ request) {
			answer(w, 404, `{"code":5,"message":"Not Found"}`)
		}, readFinal, writeDefinite, "HTTP 404"},
		{"405 of etcd 3.5", text(405, "Method Not Allowed"), readFinal, writeDefinite, "HTTP 405"},
		{"501 of etcd 3.6", func(w http.ResponseWriter, _ request) {
			answer(w, 501, `{"code":12,"message":"Method Not Allowed"}`)
		}, readFinal, writeDefinite, "HTTP 501"},
		{
			"client certificate with a name",
			text(400,
				"CommonName of client sending a request against gateway will be ignored and not "+
					"used as expected"), nil, writeDefinite, "CommonName",
		},
		{
			"http to a TLS port", text(400, "Client sent an HTTP request to an HTTPS server.\n"),
			readFinal, writeDefinite, "speaks https",
		},
		{"202", text(202, "accepted"), readFinal, writeUnknown, "HTTP 202"},
		{
			"204", func(w http.ResponseWriter, _ request) { w.WriteHeader(204) }, readFinal,
			writeUnknown, "HTTP 204",
		},
		{"HTML 200", html(200), readFinal, writeUnknown, "<html>"},
		{"no JSON", body("hello"), readFinal, writeUnknown, `"hello"`},
		{
			"half of the JSON", body(`{"header":{"cluster_id":"7"`), readFinal,
			writeUnknown, "unexpected end",
		},
		{"array", body(`[]`), readFinal, writeUnknown, "array"},
		{"empty", body(""), readFinal, writeUnknown, "an empty answer"},
		{"header of the wrong type", body(`{"header":7}`), readFinal, writeUnknown, "JSON"},
		{
			"revision that is none", body(`{"header":{"revision":"abc"}}`), readFinal,
			writeUnknown, "integer",
		},
		{
			"revision that overflows", body(`{"header":{"revision":"9223372036854775808"}}`),
			readFinal, writeUnknown, "range",
		},
		{"echo", func(w http.ResponseWriter, r request) {
			answer(w, 200, `{"value":"`+r.body+r.Header.Get("Authorization"))
		}, readFinal, writeUnknown, "JSON"},
		{"body cut off", func(w http.ResponseWriter, _ request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{"+header)
			drop()
		}, readGoesOn, writeUnknown, "EOF"},
		{"gzip", encoded(10), readFinal, writeUnknown, "encoded as gzip"},
		{"gzip bomb", encoded(2 << 20), readFinal, writeUnknown, "encoded as gzip"},
		{
			"too large, announced", body("{" + header + strings.Repeat(" ", limit) + "}"),
			tooLarge, slices.Concat(tooLarge, writeUnknown), "more than the 65536",
		},
		{"too large, chunked", func(w http.ResponseWriter, _ request) {
			for range limit {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1024)); err != nil {
					return
				}
			}
			t.Error("all of it was read")
		}, tooLarge, slices.Concat(tooLarge, writeUnknown), "more than the 65536"},
		{"endless headers", raw(func(conn net.Conn) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = io.WriteString(conn, "X-A: "+strings.Repeat("a", 1000)+"\r\n")
			}
		}), readGoesOn, writeUnknown, "headers"},
		{"endless continues", raw(func(conn net.Conn) {
			var err error
			for err == nil {
				_, err = io.WriteString(conn,
					"HTTP/1.1 103 Early Hints\r\nX-A: "+strings.Repeat("a", 1000)+"\r\n\r\n")
			}
		}), readGoesOn, writeUnknown, "headers exceeded"},
		{"dripping headers", raw(func(conn net.Conn) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-A: ")
			for err == nil {
				time.Sleep(100 * time.Millisecond)
				_, err = io.WriteString(conn, "a")
			}
		}), readGoesOn, writeUnknown, "no answer in time"},
		{"dripping body", func(w http.ResponseWriter, r request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		}, readGoesOn, writeUnknown, "no answer in time"},
		{
			"no answer", func(_ http.ResponseWriter, r request) { hang(r) }, readGoesOn,
			writeUnknown, "no answer in time",
		},
		{"closed after the request", raw(func(net.Conn) {}), readGoesOn, writeUnknown, "EOF"},
		{"no HTTP", raw(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
		}), readGoesOn, writeUnknown, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l logs
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					if r.URL.Path == "/v3/auth/authenticate" {
						answer(w, http.StatusOK, login)
						return
					}
					tt.handle(w, r)
				})
				c := cl.client(t, withUser, func(cfg *gateway.Config) {
					cfg.Logger, cfg.MaxResponse = l.logger(), limit
				})
				check := func(op string, err error, is []error) {
					t.Helper()
					not := never
					if op == "get" || len(is) == 0 {
						not = append(slices.Clip(not), gateway.ErrUncertain)
					}
					wantErr(t, err, is, not)
					typed(t, err, op, cl.urls[0])
					if err != nil && !strings.Contains(err.Error(), tt.says) {
						t.Errorf("%q does not say %q", err, tt.says)
					}
					noCanary(t, forms(err)...)
				}
				start := time.Now()
				_, err := c.Get(within(t, 3200*time.Millisecond), canaryKey)
				check("get", err, tt.read)
				if took := time.Since(start); took > 3200*time.Millisecond {
					t.Errorf("the read took %v", took)
				}
				asked := len(cl.requests())
				_, err = c.Put(within(t, 3200*time.Millisecond), canaryKey, []byte(canaryValue))
				check("put", err, tt.write)
				if sent := len(cl.requests()) - asked; len(tt.write) > 0 && sent != 1 {
					t.Errorf("a write of unknown fate was sent %d times", sent)
				}
				noCanary(t, l.String())
			})
		})
	}
}

// TestNothingIsSentToTheTargetOfARedirect: neither the request nor the token is sent to another
// place.
func TestNothingIsSentToTheTargetOfARedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
					switch {
					case r.URL.Path == "/v3/auth/authenticate":
						answer(w, http.StatusOK, login)
					case r.member == 0:
						w.Header().Set("Location", "http://m1:2379/v3/kv/put?token=secret")
						w.WriteHeader(status)
					}
				})
				c := cl.client(t, withUser, func(cfg *gateway.Config) {
					cfg.Endpoints = cl.urls[:1]
				})
				_, err := c.Put(within(t, time.Minute), canaryKey, []byte(canaryValue))
				wantErr(t, err, list(gateway.ErrProtocol), list(gateway.ErrUncertain))
				if err != nil && (!strings.Contains(err.Error(), "redirects to m1:2379") ||
					strings.Contains(err.Error(), "secret")) {
					t.Errorf("error %q does not name the place alone", err)
				}
				for _, r := range cl.requests() {
					if r.member == 1 {
						t.Error("the redirect was followed")
					}
				}
			})
		})
	}
}

// TestServerTextIsCleaned: the server's text in an error is bounded and fit for a log line.
func TestServerTextIsCleaned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			answer(w, http.StatusBadRequest,
				`{"code":3,"message":"one\nlevel=INFO msg=forged `+strings.Repeat("x", 5000)+`"}`)
		})
		_, err := cl.client(t).Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrInvalid), nil)
		if s := err.Error(); strings.Contains(s, "\n") || len(s) > 1000 {
			t.Errorf("%d bytes: %q", len(s), s)
		}
	})
}

// TestTheOtherEndpointsServeBesideABadOne: the other endpoints serve reads, and writes that were
// not applied.
func TestTheOtherEndpointsServeBesideABadOne(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(http.ResponseWriter, request){
		"not etcd":     text(404, "404 page not found"),
		"http for TLS": text(400, "Client sent an HTTP request to an HTTPS server."),
		"learner of 3.5": func(w http.ResponseWriter, _ request) {
			answer(w, 503,
				`{"error":"x","message":"etcdserver: rpc not supported for learner","code":14}`)
		},
		"learner of 3.6": func(w http.ResponseWriter, _ request) {
			answer(w, 400, `{"code":9,"message":"etcdserver: rpc not supported for learner"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 3, func(w http.ResponseWriter, r request) {
					if r.member == 1 {
						bad(w, r)
						return
					}
					ok(w)
				})
				for range 20 {
					c := cl.client(t)
					if _, err := c.Put(within(t, time.Minute), "k", nil); err != nil {
						t.Error(err)
					}
					if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// TestTheErrorReportsTheCauseOfEveryEndpoint: every cause is reported.
func TestTheErrorReportsTheCauseOfEveryEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			text(404+r.member, "no")(w, r)
		})
		_, err := cl.client(t).Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrProtocol), list(context.DeadlineExceeded))
		for _, part := range []string{"HTTP 404", "HTTP 405", cl.urls[0], cl.urls[1]} {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %q", err, part)
			}
		}
		synctest.Wait()
	})
}
