package queue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// passedKeys counts the keys that reads pass, of those that are there.
type passedKeys struct {
	etcd *fakeetcd.Server
	n    int
}

// see counts the keys in the ranges of a request. A compare of a range is not counted.
func (p *passedKeys) see(c *fakeetcd.Call) fakeetcd.Answer {
	answer := c.Apply()
	var txn struct {
		readRange

		Success, Failure []readOp
	}
	var outcome struct{ Succeeded bool }
	if json.Unmarshal(c.Body, &txn) != nil || json.Unmarshal(answer.Body, &outcome) != nil {
		return answer
	}
	if !outcome.Succeeded {
		txn.Success = txn.Failure
	}
	for _, op := range append(txn.Success, readOp{txn.readRange}) {
		if len(op.Range.End) == 0 {
			continue
		}
		for _, key := range p.etcd.Keys(string(op.Range.Key[:len("jobs//d/")])) {
			if string(op.Range.Key) <= key && key < string(op.Range.End) {
				p.n++
			}
		}
	}
	return answer
}

// TestNoReadPassesTheBacklog: TryReceive and Peek by a client that knows nothing pass few of the
// items that wait, and so does a client in use.
func TestNoReadPassesTheBacklog(t *testing.T) {
	const backlog, most = 20_000, 5000
	put := func(etcd *fakeetcd.Server, priority int, group func(i int) string) {
		for i := range backlog {
			key, head := fmt.Sprintf("jobs//q/%d/%016d", 9-priority, i+1), ""
			if group != nil {
				key, head = key+"/"+group(i), fmt.Sprintf(",\"group\":%q", group(i))
			}
			etcd.Put(key, fmt.Sprintf("{\"id\":\"a-%09d\"%s}\n", i, head))
		}
		etcd.Put("jobs//tail", fmt.Sprintf("%d %d", backlog+1, backlog))
	}
	for what, fill := range map[string]func(etcd *fakeetcd.Server){
		"ready": func(etcd *fakeetcd.Server) { put(etcd, 0, nil) },
		"of groups": func(etcd *fakeetcd.Server) {
			put(etcd, 0, func(i int) string { return fmt.Sprint(i % 5000) })
		},
		"of a group": func(etcd *fakeetcd.Server) {
			put(etcd, 0, func(int) string { return "g" })
		},
		"behind a gap": func(etcd *fakeetcd.Server) {
			put(etcd, 5, nil)
			tail, _ := etcd.Get("jobs//tail")
			etcd.Put("jobs//gaps", fmt.Sprintf("%d 4/%016d-4/%016d 9/%016d-9/%016d",
				tail.CreateRevision, 0, 1, 0, backlog/4))
		},
		"delayed": func(etcd *fakeetcd.Server) {
			for i := range backlog {
				due := time.Now().Add(time.Hour).UnixMilli() + int64(i)
				etcd.Put(fmt.Sprintf("jobs//d/%015d/a-%09d", due, i), fmt.Sprintf("{\"id\":\"a-%09d\"}\n", i))
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				fill(etcd)
				q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
				passed := &passedKeys{etcd: etcd}
				etcd.Script(passed.see)
				for _, call := range []struct {
					name string
					do   func() error
				}{
					{"Enqueue", func() error {
						_, err := q.Enqueue(t.Context(), nil, nil)
						return err
					}},
					{"TryReceive", func() error { _, err := q.TryReceive(t.Context()); return err }},
					{"TryReceive again", func() error {
						_, err := q.TryReceive(t.Context())
						if what == "delayed" && errors.Is(err, queue.ErrEmpty) {
							return nil
						}
						return err
					}},
					{"Peek", func() error { _, err := q.Peek(t.Context(), 10); return err }},
				} {
					if what == "of a group" && call.name == "TryReceive again" {
						continue // it looks for another group
					}
					passed.n = 0
					if err := call.do(); err != nil {
						t.Error(err)
					}
					synctest.Wait()
					if passed.n > most {
						t.Errorf("%s passes %d keys", call.name, passed.n)
					}
				}
			})
		})
	}
}
