package barrier

import (
	"reflect"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
)

// world is a line whose members act only by the test's calls.
type world struct {
	*testing.T
	etcd   *fakeetcd.Server
	client *gateway.Client
	line   line.Line
	fences map[string]int64
}

func (w *world) join(keys ...string) {
	for _, key := range keys {
		w.etcd.Put("a/"+key, "")
		kv, _ := w.etcd.Get("a/" + key)
		w.fences[key] = kv.CreateRevision
	}
}

func (w *world) see() state {
	w.Helper()
	v, err := w.line.Now(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	s, err := stateOf(&line.Line{Name: "a"}, v)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) apply(t gateway.Txn) {
	w.Helper()
	if _, err := w.client.Txn(w.Context(), t); err != nil {
		w.Fatal(err)
	}
}

func (w *world) complete(seen state, n int) {
	w.Helper()
	write := seen.complete(&w.line, n)
	w.apply(gateway.Txn{If: write.If, Then: write.Then})
}

// leave removes a member that stops waiting.
func (w *world) leave(key string) {
	w.Helper()
	w.apply(gateway.Txn{Then: []gateway.Op{
		gateway.OpDelete("a/" + key),
		breaking(&w.line, w.fences[key]),
	}})
}

// TestAMemberThatStopsWaitingBreaksItsOwnRoundOnly: a member that stops waiting breaks its own
// round, and no other.
func TestAMemberThatStopsWaitingBreaksItsOwnRoundOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		happen func(w *world)
		want   map[string]string
	}{
		{"alone", func(w *world) {
			w.join("a")
			w.leave("a")
			w.join("b")
		}, map[string]string{"b": "waits"}},
		{
			"others wait", func(w *world) { w.join("a", "b", "c"); w.leave("b"); w.join("d") },
			map[string]string{"a": "broken", "c": "broken", "d": "waits"},
		},
		{
			"is complete", func(w *world) {
				w.join("a", "b", "c", "d")
				w.complete(w.see(), 3)
				w.leave("b")
			},
			map[string]string{"a": "passed", "c": "passed", "d": "waits"},
		},
		{
			"the last of the complete", func(w *world) {
				w.join("a", "b", "c")
				w.complete(w.see(), 2)
				w.leave("b")
			},
			map[string]string{"a": "passed", "c": "waits"},
		},
		{
			"is broken", func(w *world) {
				w.join("a", "b")
				w.leave("a")
				w.join("c")
				w.leave("b")
			},
			map[string]string{"c": "waits"},
		},
		{
			"behind a complete one", func(w *world) {
				w.join("a", "b")
				w.complete(w.see(), 2)
				w.join("c", "d")
				w.leave("c")
				w.join("e")
			},
			map[string]string{"a": "passed", "b": "passed", "d": "broken", "e": "waits"},
		},
		{
			"complete too late", func(w *world) {
				w.join("a", "b")
				seen := w.see()
				w.join("c")
				w.leave("c")
				w.complete(seen, 2)
			},
			map[string]string{"a": "broken", "b": "broken"},
		},
		{
			"complete with one gone", func(w *world) {
				w.join("a", "b")
				seen := w.see()
				w.etcd.Delete("a/b")
				w.complete(seen, 2)
			},
			map[string]string{"a": "waits"},
		},
		{
			"complete twice", func(w *world) {
				w.join("a", "b", "c")
				seen := w.see()
				w.complete(seen, 2)
				w.etcd.Delete("a/a")
				seen.Members = seen.Members[1:]
				w.complete(seen, 2)
			}, map[string]string{"b": "passed", "c": "waits"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
				s := bubble.Session(t, etcd)
				w := &world{
					t, etcd, etcd.Client(t),
					line.Line{Session: core.Of(s), Name: "a"},
					map[string]int64{},
				}
				tt.happen(w)
				now := w.see()
				got := map[string]string{}
				for _, m := range now.Members {
					fate := "passed"
					if _, err := now.fate(m.Fence); m.Fence > now.edge {
						fate = "waits"
					} else if err != nil {
						fate = "broken"
					}
					got[m.Key[len("a/"):]] = fate
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("%v, want %v", got, tt.want)
				}
			})
		})
	}
}
