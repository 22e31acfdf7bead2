package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// aDatabase returns the database that the fake members send.
func aDatabase(n int) []byte { return bytes.Repeat([]byte("database"), n/8) }

// part is one message of a snapshot.
func part(remaining int, b []byte) string {
	blob := base64.StdEncoding.EncodeToString(b)
	return fmt.Sprintf(`{"result":{"remaining_bytes":"%d","blob":"%s","version":"3.6.0"}}`,
		remaining, blob)
}

// parts are the messages of a whole snapshot, in pieces of size bytes, as etcd makes them.
func parts(db []byte, size int) (lines []string) {
	for sent := 0; sent < len(db); sent += size {
		piece := db[sent:min(sent+size, len(db))]
		lines = append(lines, part(len(db)-sent-len(piece), piece))
	}
	sum := sha256.Sum256(db)
	return append(lines, part(0, sum[:]))
}

// send writes lines, and flushes each before the next.
func send(w http.ResponseWriter, lines ...string) {
	w.Header().Set("Content-Type", "application/json")
	for _, l := range lines {
		_, _ = io.WriteString(w, l+"\n")
		_ = http.NewResponseController(w).Flush() // an error means that the client has gone
	}
}

func TestASnapshotIsRead(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{
		"pieces": 1000, "one piece": 1 << 20, "pieces smaller than the sum": 7, "an exact end": 512,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db := aDatabase(4096)
				cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
					if r.URL.Path != "/v3/maintenance/snapshot" || r.body != "{}" ||
						r.Header.Get("Grpc-Timeout") != "" {
						t.Errorf("%s %s %v", r.URL.Path, r.body, r.Header)
					}
					send(w, parts(db, size)...)
				})
				// A snapshot is not limited by the size of an answer, or by the time of an attempt.
				c := cl.client(t, func(cfg *gateway.Config) { cfg.MaxResponse = 100 })
				s, err := c.Member("").Snapshot(within(t, time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(iotest.OneByteReader(s))
				sum := sha256.Sum256(db)
				if err != nil || !bytes.Equal(got, append(db, sum[:]...)) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if s.Size() != 4096+32 || s.Version() != "3.6.0" || s.Endpoint() != cl.urls[0] {
					t.Errorf("size %d, version %q, from %s", s.Size(), s.Version(), s.Endpoint())
				}
				if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("after the end: %d, %v", n, err)
				}
				if err := errors.Join(s.Close(), s.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestOnlyItsContextEndsASnapshot: only the context ends it.
func TestOnlyItsContextEndsASnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lines := parts(aDatabase(4096), 1024)
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			for _, l := range lines {
				time.Sleep(time.Minute)
				send(w, l)
			}
		})
		c := cl.client(t)
		s, err := c.Member("").Snapshot(within(t, time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, s); n != s.Size() || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		s.Close()

		for what, end := range map[string]func(cancel func(), s *gateway.Snapshot){
			"context": func(cancel func(), _ *gateway.Snapshot) { cancel() },
			"Close":   func(_ func(), s *gateway.Snapshot) { s.Close() },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			s, err := c.Member("").Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			time.AfterFunc(10*time.Second, func() { end(cancel, s) })
			_, err = io.Copy(io.Discard, s)
			wantErr(t, err, list(context.Canceled), list(io.EOF))
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("ended by %s after %v", what, took)
			}
			s.Close()
			cancel()
		}
		s, err = c.Member("").Snapshot(within(t, time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = c.Close() })
		_, err = io.Copy(io.Discard, s)
		wantErr(t, err, list(gateway.ErrClosed), list(io.EOF))
		s.Close()
	})
}

// broken are invalid snapshots, each with the error that reports it.
func broken() map[string]struct {
	send func(w http.ResponseWriter)
	is   error
} {
	db := aDatabase(4096)
	lines := parts(db, 1024)
	wrong := sha256.Sum256([]byte("other"))
	type b = struct {
		send func(w http.ResponseWriter)
		is   error
	}
	return map[string]b{
		"nothing": {func(w http.ResponseWriter) { send(w) }, gateway.ErrCorrupt},
		"a wrong sum": {func(w http.ResponseWriter) {
			send(w, append(lines[:4:4], part(0, wrong[:]))...)
		}, gateway.ErrCorrupt},
		"no sum": {
			func(w http.ResponseWriter) { send(w, lines[:4]...) },
			gateway.ErrCorrupt,
		},
		"an end in the middle": {
			func(w http.ResponseWriter) { send(w, lines[:2]...) },
			gateway.ErrCorrupt,
		},
		"a part twice": {func(w http.ResponseWriter) {
			send(w, append([]string{lines[0]}, lines...)...)
		}, gateway.ErrCorrupt},
		"a part missing": {func(w http.ResponseWriter) {
			send(w, append(lines[:1:1], lines[2:]...)...)
		}, gateway.ErrCorrupt},
		"a flipped bit": {func(w http.ResponseWriter) {
			send(w,
				append(lines[:1:1],
					append([]string{strings.Replace(lines[1], "ZGF0", "ZGF1", 1)},
						lines[2:]...)...)...)
		}, gateway.ErrCorrupt},
		"a size beyond all bounds": {func(w http.ResponseWriter) {
			send(w, strings.Replace(lines[0], "3072", "18446744073709551615", 1))
		}, gateway.ErrCorrupt},
		"a broken connection": {func(w http.ResponseWriter) {
			send(w, lines[:2]...)
			drop()
		}, gateway.ErrUnavailable},
		"half a message": {func(w http.ResponseWriter) {
			send(w, lines[:2]...)
			_, _ = io.WriteString(w, lines[2][:100])
		}, gateway.ErrUnavailable},
		"an error line": {func(w http.ResponseWriter) {
			send(w, lines[:2]...)
			_, _ = io.WriteString(w,
				`{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: server stopped"}}`)
		}, gateway.ErrUnavailable},
		"an error at once": {func(w http.ResponseWriter) {
			etcdError(w, 403, 7, "etcdserver: permission denied")
		}, gateway.ErrPermissionDenied},
		"a web page": {
			func(w http.ResponseWriter) { answer(w, 200, "<html>") },
			gateway.ErrProtocol,
		},
		"another message": {func(w http.ResponseWriter) {
			send(w, lines[0], `{"result":{"blob":7}}`)
		}, gateway.ErrProtocol},
	}
}

// TestABrokenSnapshotIsAnError: an incomplete or invalid snapshot ends in an error, and never in
// io.EOF.
func TestABrokenSnapshotIsAnError(t *testing.T) {
	t.Parallel()
	for name, tt := range broken() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { tt.send(w) })
				s, err := cl.client(t).Member("").Snapshot(within(t, time.Minute))
				if err == nil {
					defer s.Close()
					_, err = io.Copy(io.Discard, s)
				}
				wantErr(t, err, list(tt.is), list(io.EOF, context.DeadlineExceeded))
				typed(t, err, "snapshot", cl.urls[0])
				if name == "an end in the middle" &&
					!strings.Contains(fmt.Sprint(err), "2048 bytes of 4128") {
					t.Error(err)
				}
			})
		})
	}
}

// TestAnExpiredTokenIsRenewedBeforeASnapshot: an expired token is renewed before the snapshot
// begins.
func TestAnExpiredTokenIsRenewedBeforeASnapshot(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]func(w http.ResponseWriter){
		"401": func(w http.ResponseWriter) {
			etcdError(w, 401, 16, "etcdserver: invalid auth token")
		},
		"3.5": func(w http.ResponseWriter) {
			etcdError(w, 500, 2, "auth: invalid auth token")
		},
		"old": func(w http.ResponseWriter) {
			etcdError(w, 400, 3, "etcdserver: revision of auth store is old")
		},
		"old on 3.5": func(w http.ResponseWriter) {
			etcdError(w, 500, 2, "auth: revision in header is old")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGuarded(t)
				g.refusal = refusal
				c := g.client(t, withUser)
				if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
					t.Fatal(err)
				}
				g.valid.Store(2)
				// the fake's answer is no snapshot
				_, err := c.Member("").Snapshot(within(t, time.Minute))
				wantErr(t, err, list(gateway.ErrProtocol), list(gateway.ErrUnauthenticated))
				g.valid.Store(3)
				if _, err := c.Member("").Status(within(t, time.Minute)); err != nil {
					t.Error(err)
				}
				g.valid.Store(-1)
				_, err = c.Member("").Snapshot(within(t, time.Minute))
				wantErr(t, err, list(gateway.ErrUnauthenticated), nil)
				_, err = c.Member("").Status(within(t, time.Minute))
				wantErr(t, err, list(gateway.ErrUnauthenticated), nil)
				if n := g.logins.Load(); n > 5 {
					t.Errorf("%d log-ins", n)
				}
			})
		})
	}
}
