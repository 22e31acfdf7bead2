package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestAClaimThatIsOlderThanItsItem: a claim may stand where an item is put later, if it is another
// program's, or is left of a queue whose tail was deleted. Consumers do not claim such an item
// again and again, and receive it when the claim has gone.
func TestAClaimThatIsOlderThanItsItem(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"", "9", "9/", "9/x", "9/0000000000000009"} {
		for name, claim := range map[string]func(etcd *fakeetcd.Server, key string){
			"no lease": func(etcd *fakeetcd.Server, key string) { etcd.Put(key, "a claim") },
			"deleted later": func(etcd *fakeetcd.Server, key string) {
				etcd.Put(key, "a claim")
				time.AfterFunc(time.Minute, func() { etcd.Delete(key) })
			},
		} {
			t.Run(place+", "+name, func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					q := queue.New(bubble.Session(t, etcd), "jobs", nil)
					if _, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) {
						t.Fatal(err)
					}
					claim(etcd, "jobs//c/"+place)
					etcd.Put("jobs//q/"+place, `{"id":"1"}`+"\nvalue")
					requests := bubble.Count(etcd)
					ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
					defer stop()
					m, err := q.Receive(ctx)
					if err == nil {
						err = m.Ack(ctx)
					} else if errors.Is(err, context.DeadlineExceeded) {
						err = nil // it was no item of this library
					}
					if n := requests.Load(); err != nil || n > 200 {
						t.Errorf("%d requests, %v", n, err)
					}
				})
			})
		}
	}
}
