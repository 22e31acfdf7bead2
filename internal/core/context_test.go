package core_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

type spanKey struct{}

// TestTheContextOfACallerReachesItsRequest checks that the request that carries a write has the
// values of the caller's context, as a trace needs them, for each way to write.
func TestTheContextOfACallerReachesItsRequest(t *testing.T) {
	t.Parallel()
	hold := func(ctx context.Context, s *session.Session) *mutex.Lock {
		lock, err := mutex.New(s, "lock", nil).Lock(ctx)
		if err != nil {
			t.Error(err)
		}
		return lock
	}
	for name, call := range map[string]func(ctx context.Context, s *session.Session) error{
		"alone": func(ctx context.Context, s *session.Session) error {
			_, err := core.Of(s).Write(ctx, put(s, "key"))
			return err
		},
		"with a key": func(ctx context.Context, s *session.Session) error {
			_, err := core.Of(s).Write(ctx, sharing(s, "key", "line"))
			return err
		},
		"weighted": func(ctx context.Context, s *session.Session) error {
			_, err := core.Of(s).Write(ctx, weighted(put(s, "key")))
			return err
		},
		"Session.Txn": func(ctx context.Context, s *session.Session) error {
			_, err := s.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut("key", nil)}})
			return err
		},
		"Lock, Hold.Txn and Unlock": func(ctx context.Context, s *session.Session) error {
			lock := hold(ctx, s)
			if _, err := lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpGet("x")}}); err != nil {
				return err
			}
			return lock.Unlock(ctx)
		},
		"Enqueue, Receive and Ack": func(ctx context.Context, s *session.Session) error {
			q := queue.New(s, "queue", nil)
			if _, err := q.Enqueue(ctx, []byte("x"), nil); err != nil {
				return err
			}
			m, err := q.Receive(ctx)
			if err != nil {
				return err
			}
			return m.Ack(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				var mu sync.Mutex
				var without []string // bodies of writes without the span
				c := etcd.ClientSeen(t, func(r *http.Request) {
					if !strings.HasSuffix(r.URL.Path, "/kv/txn") || r.Context().Value(spanKey{}) == "span" {
						return
					}
					body, _ := r.GetBody()
					text, _ := io.ReadAll(body)
					mu.Lock()
					defer mu.Unlock()
					without = append(without, string(text))
				})
				s, err := session.New(t.Context(), c, nil)
				if err != nil {
					t.Fatal(err)
				}
				without = nil // the record
				if err := call(context.WithValue(t.Context(), spanKey{}, "span"), s); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if len(without) > 0 {
					t.Errorf("requests without the values of the caller's context: %q", without)
				}
				mu.Unlock()
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
