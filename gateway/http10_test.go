package gateway_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// byVersion forwards no request before its end, as some proxies do. The test answers finite streams
// according to their HTTP version. It returns the versions of the finite streams that were
// requested.
func byVersion(
	t *testing.T, http10 func(w http.ResponseWriter, r request) bool,
) (*cluster, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var protos []string
	c := newCluster(t, 1, func(w http.ResponseWriter, r request) {
		finite := r.ContentLength > 0 && r.Header.Get("Grpc-Timeout") == ""
		if finite {
			mu.Lock()
			protos = append(protos, r.Proto)
			mu.Unlock()
			if r.Proto == "HTTP/1.0" && !http10(w, r) {
				return
			}
		}
		confirmComplete(w, r, false)
	})
	return c, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(protos)
	}
}

// TestFiniteStreamsSpeakHTTP10: with HTTP/1.0 the parts of an answer are not chunks, which haproxy
// would hold back.
func TestFiniteStreamsSpeakHTTP10(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake, protos := byVersion(t, func(http.ResponseWriter, request) bool { return true })
		c := fake.client(t)
		w, err := c.Watch(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		time.Sleep(5 * time.Minute)
		all := protos()
		if len(all) < 3 || slices.Contains(all, "HTTP/1.1") {
			t.Errorf("finite streams spoke %v", all)
		}
	})
}

// TestFiniteStreamsSpeakHTTP11WhereHTTP10IsRefused: the same stream is requested with HTTP/1.1, and
// later ones at once.
func TestFiniteStreamsSpeakHTTP11WhereHTTP10IsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake, protos := byVersion(t, func(w http.ResponseWriter, _ request) bool {
					answer(w, status, "")
					return false
				})
				c := fake.client(t)
				began := time.Now()
				w, err := c.Watch(t.Context(), "k")
				if took := time.Since(began); err != nil || took > 500*time.Millisecond {
					t.Fatalf("%v after %v", err, took)
				}
				defer w.Close()
				time.Sleep(5 * time.Minute)
				all := protos()
				if i := slices.Index(all, "HTTP/1.1"); i != 1 ||
					slices.Contains(all[1:], "HTTP/1.0") {
					t.Errorf("finite streams spoke %v", all)
				}
				if mode := c.Endpoints()[0].WatchMode; mode != gateway.WatchModeFinite {
					t.Errorf("the mode is %q", mode)
				}
			})
		})
	}
}

// TestTheClientPollsWhereHTTP10Fails: if a proxy never answers HTTP/1.0, or breaks it, the client
// polls until it tries HTTP/1.1.
func TestTheClientPollsWhereHTTP10Fails(t *testing.T) {
	t.Parallel()
	for name, http10 := range map[string]func(http.ResponseWriter, request) bool{
		"held":   func(_ http.ResponseWriter, r request) bool { hang(r); return false },
		"broken": func(http.ResponseWriter, request) bool { drop(); return false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake, _ := byVersion(t, http10)
				c := fake.client(t)
				w, err := c.Watch(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				time.Sleep(20 * time.Second)
				if mode := c.Endpoints()[0].WatchMode; mode != gateway.WatchModeFinite {
					t.Errorf("the mode is %q", mode)
				}
			})
		})
	}
}

// TestOwnTransportSpeaksHTTP11: the version of the caller's transport is not changed.
func TestOwnTransportSpeaksHTTP11(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake, protos := byVersion(t, func(http.ResponseWriter, request) bool { return true })
		own := &http.Transport{DialContext: fake.net.Dial}
		defer own.CloseIdleConnections()
		c := fake.client(t, func(cfg *gateway.Config) { cfg.Transport, cfg.DialContext = own, nil })
		w, err := c.Watch(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if all := strings.Join(protos(), " "); all == "" || strings.Contains(all, "HTTP/1.0") {
			t.Errorf("finite streams spoke %q", all)
		}
	})
}

// TestFiniteStreamsKeepHTTP10: a proxy that answers 503, because its member is down, gives no
// reason to speak HTTP/1.1 from then on.
func TestFiniteStreamsKeepHTTP10(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Int64
		down.Store(1)
		fake, protos := byVersion(t, func(w http.ResponseWriter, _ request) bool {
			if down.Add(-1) < 0 {
				return true
			}
			answer(w, http.StatusServiceUnavailable, "")
			return false
		})
		c := fake.client(t)
		w, err := c.Watch(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		time.Sleep(time.Minute)
		if all := protos(); len(all) < 3 || slices.Contains(all, "HTTP/1.1") {
			t.Errorf("finite streams spoke %v", all)
		}
		if mode := c.Endpoints()[0].WatchMode; mode != gateway.WatchModeFinite {
			t.Errorf("the mode is %q", mode)
		}
	})
}
