package gateway_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// alerting accepts connections and rejects each handshake with an alert.
func alerting(t *testing.T, code byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hello := make([]byte, 5)
			if _, err := io.ReadFull(conn, hello); err == nil {
				_, _ = io.CopyN(io.Discard, conn, int64(hello[3])<<8|int64(hello[4]))
				_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, code})
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "https://" + l.Addr().String()
}

// TestATLSAlertEndsACallAtOnce: an alert about the client's certificate or settings ends a call at
// once, with an error that names it. Other alerts are temporary.
func TestATLSAlertEndsACallAtOnce(t *testing.T) {
	t.Parallel()
	good, pool := tlsServer(t, nil)
	for _, code := range []byte{
		40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 51, 70, 71, 86, 109, 110, 111, 112, 113, 114, 115,
		116, 120,
	} {
		t.Run(tls.AlertError(code).Error(), func(t *testing.T) {
			t.Parallel()
			url := alerting(t, code)
			c := newClient(t, gateway.Config{Endpoints: []string{url}})
			for _, call := range []func(context.Context) error{
				func(ctx context.Context) error { _, err := c.Get(ctx, "k"); return err },
				func(ctx context.Context) error { _, err := c.Put(ctx, "k", nil); return err },
				func(ctx context.Context) error { _, err := c.Watch(ctx, "k"); return err },
			} {
				err := call(within(t, 10*time.Second))
				wantErr(t, err, nil,
					list(context.DeadlineExceeded, gateway.ErrUncertain, gateway.ErrUnavailable))
				if err != nil && !strings.Contains(err.Error(), tls.AlertError(code).Error()) {
					t.Errorf("%q does not name the alert", err)
				}
			}
			//nolint:gosec // the client raises the version
			both := newClient(t, gateway.Config{
				Endpoints: []string{url, good.URL},
				TLS:       &tls.Config{RootCAs: pool},
			})
			if _, err := both.Put(within(t, 10*time.Second), "k", nil); err != nil {
				t.Errorf("with another endpoint: %v", err)
			}
		})
	}
	for _, code := range []byte{10, 20, 22, 80, 90} {
		t.Run("passing: "+tls.AlertError(code).Error(), func(t *testing.T) {
			t.Parallel()
			c := newClient(t, gateway.Config{Endpoints: []string{alerting(t, code)}})
			_, err := c.Put(within(t, 300*time.Millisecond), "k", nil)
			wantErr(t, err, list(context.DeadlineExceeded), list(gateway.ErrUncertain))
		})
	}
}

// TestTheErrorOfAGatewayWithoutEtcdIsClassified: the error of etcd's gateway when it has no
// connection to etcd.
func TestTheErrorOfAGatewayWithoutEtcdIsClassified(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text    string
		setup   bool // it fails at once
		unknown bool // the outcome of a write
	}{
		{`connection error: desc = "error reading server preface: remote error: tls: bad ` +
			`certificate"`, true, false},
		{`connection error: desc = "error reading server preface: remote error: tls: certificate ` +
			`required"`, true, false},
		{`connection error: desc = "transport: authentication handshake failed: remote error: ` +
			`tls: unknown certificate authority"`, true, false},
		{`connection error: desc = "transport: authentication handshake failed: tls: failed to ` +
			`verify certificate: x509: certificate has expired or is not yet valid"`, true, false},
		{`all SubConns are in TransientFailure, latest connection error: connection error: ` +
			`desc = ` +
			`"transport: authentication handshake failed: x509: certificate signed by unknown ` +
			`authority"`, true, false},
		{`last connection error: connection error: desc = "transport: authentication handshake ` +
			`failed: tls: first record does not look like a TLS handshake"`, true, false},
		{`connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:2379: ` +
			`connect: connection refused"`, false, false},
		{`connection error: desc = "transport: authentication handshake failed: context deadline ` +
			`exceeded"`, false, false},
		{`connection error: desc = "transport: authentication handshake failed: remote error: ` +
			`tls: internal error"`, false, false},
		{`connection error: desc = "error reading server preface: EOF"`, false, false},
		{`error reading from server: remote error: tls: bad certificate`, false, true},
		{`error reading from server: EOF`, false, true},
		{`transport is closing`, false, true},
	} {
		for _, status := range []int{
			http.StatusServiceUnavailable,
			http.StatusInternalServerError,
		} {
			t.Run(fmt.Sprintf("%d %s", status, tt.text), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					code := 14
					if status == http.StatusInternalServerError {
						code = 2
					}
					cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
						answer(w, status, fmt.Sprintf(`{"code":%d,"message":%q}`, code, tt.text))
					})
					c := cl.client(t)
					began := time.Now()
					_, err := c.Put(within(t, 10*time.Second), "k", nil)
					var is, not []error
					switch {
					case tt.setup:
						not = list(gateway.ErrUncertain, gateway.ErrUnavailable,
							context.DeadlineExceeded)
						if time.Since(began) > 0 {
							t.Errorf("it took %v", time.Since(began))
						}
					case tt.unknown:
						is = list(gateway.ErrUncertain)
					default:
						is, not = list(context.DeadlineExceeded), list(gateway.ErrUncertain)
					}
					wantErr(t, err, is, not)
					if tt.setup && err != nil &&
						(!strings.Contains(err.Error(), "clientAuth") ||
							!strings.Contains(err.Error(), "509") &&
								!strings.Contains(err.Error(), "tls")) {
						t.Errorf("%q does not say what is wrong", err)
					}
				})
			})
		}
	}
}

// TestErrorsWithoutACodeAreRecognizedByTheirText: etcd's errors without a code are recognised by
// their text.
func TestErrorsWithoutACodeAreRecognizedByTheirText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status    int
		body      string
		says      string
		is, isNot []error
	}{
		{
			500, `{"error":"etcdserver: unable to reach quorum"}`, "unable to reach quorum",
			list(gateway.ErrUncertain, gateway.ErrUnavailable), list(gateway.ErrProtocol),
		},
		{
			503, `{"error":"etcdserver: unable to reach quorum"}`, "unable to reach quorum",
			list(gateway.ErrUncertain, gateway.ErrUnavailable), list(gateway.ErrProtocol),
		},
		{
			503, `{"error":"etcdserver: unable to reach quorum","code":0}`,
			"unable to reach quorum",
			list(gateway.ErrUncertain, gateway.ErrUnavailable), list(gateway.ErrProtocol),
		},
		{
			500, `{"message":"etcdserver: unable to reach quorum"}`, "unable to reach quorum",
			list(gateway.ErrUncertain, gateway.ErrUnavailable), list(gateway.ErrProtocol),
		},
		{
			500, `{"error":{"message":"etcdserver: unable to reach quorum"}}`,
			"unable to reach quorum", list(gateway.ErrUncertain,
				gateway.ErrUnavailable), list(gateway.ErrProtocol),
		},
		{
			200, `{"error":"etcdserver: unable to reach quorum"}`, "unable to reach quorum",
			list(gateway.ErrUncertain, gateway.ErrUnavailable), list(gateway.ErrProtocol),
		},
		{
			403, `{"error":"etcdserver: permission denied"}`, "permission denied",
			list(gateway.ErrPermissionDenied), list(gateway.ErrProtocol, gateway.ErrUncertain),
		},
		{
			500, `{"error":"rpc error: code = PermissionDenied desc = etcdserver: permission ` +
				`denied"}`,
			"permission denied", list(gateway.ErrPermissionDenied), list(gateway.ErrProtocol,
				gateway.ErrUncertain),
		},
		{
			404, `{"error":"etcdserver: requested lease not found"}`, "lease not found",
			list(gateway.ErrLeaseNotFound), list(gateway.ErrProtocol, gateway.ErrUncertain),
		},
		{
			429, `{"error":"etcdserver: mvcc: database space exceeded"}`, "space",
			list(gateway.ErrNoSpace), list(gateway.ErrProtocol),
		},
		{
			503, `{"error":"etcdserver: request timed out"}`, "timed out",
			list(gateway.ErrUncertain, gateway.ErrUnavailable), list(gateway.ErrProtocol),
		},
		{
			403, `{"error":"no route matched"}`, "", list(gateway.ErrProtocol),
			list(gateway.ErrUncertain, gateway.ErrPermissionDenied),
		},
		{
			403, `{"message":"Forbidden"}`, "", list(gateway.ErrProtocol),
			list(gateway.ErrUncertain, gateway.ErrPermissionDenied),
		},
	} {
		t.Run(fmt.Sprint(tt.status, tt.body), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
					answer(w, tt.status, tt.body)
				}).client(t)
				_, err := c.Put(within(t, 10*time.Second), "k", nil)
				wantErr(t, err, tt.is, tt.isNot)
				if err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%q does not say %q", err, tt.says)
				}
			})
		})
	}
}

// TestAPageOfAProxyIsNoAnswer: pages of proxies in place of etcd's answer. Other endpoints are
// asked if it is certain that a write did not reach etcd.
func TestAPageOfAProxyIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status  int
		unknown bool // whether a write was applied
		retried bool // by the only endpoint
	}{
		{400, false, false},
		{401, false, false},
		{403, false, false},
		{404, false, false},
		{405, false, false},
		{407, false, false},
		{411, false, false},
		{413, false, false},
		{414, false, false},
		{421, false, false},
		{429, false, true},
		{431, false, false},
		{451, false, false},
		{408, true, false},
		{500, true, false},
		{502, true, false},
		{503, true, false},
		{504, true, false},
		{520, true, false},
	} {
		for _, body := range []string{"", "<html>no</html>"} {
			t.Run(fmt.Sprint(tt.status, body), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					page := func(w http.ResponseWriter) {
						w.Header().Set("Content-Type", "text/html")
						w.Header().Set("Connection", "close")
						w.WriteHeader(tt.status)
						_, _ = io.WriteString(w, body)
					}
					c := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
						page(w)
					}).client(t)
					_, err := c.Put(within(t, 3*time.Second), "k", nil)
					var is, not []error
					if tt.unknown {
						is = list(gateway.ErrUncertain)
					} else {
						not = list(gateway.ErrUncertain)
					}
					if tt.retried {
						is = append(is, context.DeadlineExceeded)
					} else {
						not = append(not, context.DeadlineExceeded)
					}
					wantErr(t, err, append(is, gateway.ErrProtocol), not)
					if err != nil && !strings.Contains(err.Error(),
						fmt.Sprint("HTTP ", tt.status)) {
						t.Errorf("%q does not name the status", err)
					}
					half := newCluster(t, 2, func(w http.ResponseWriter, r request) {
						if r.member == 0 {
							page(w)
							return
						}
						ok(w)
					}).client(t)
					for range 4 {
						if _, err := half.Get(within(t, 10*time.Second), "k"); err != nil {
							t.Errorf("a read with another endpoint: %v", err)
						}
					}
				})
			})
		}
	}
}
