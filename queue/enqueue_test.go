package queue_test

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

// TestEnqueueAllIsCheckedFirst: nothing is sent of what cannot be enqueued as a whole, however many
// transactions it takes.
func TestEnqueueAllIsCheckedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		s := open(t, server.Client(t))
		half := bytes.Repeat([]byte("x"), 300<<10)
		many := append(make([][]byte, 150), make([]byte, queue.MaxValue+1))
		for _, c := range []struct {
			name   string
			values [][]byte
			opts   queue.EnqueueOptions
		}{
			{"jobs", [][]byte{half, half}, queue.EnqueueOptions{DedupID: "one"}},
			{"jobs", many, queue.EnqueueOptions{}},
			{"", nil, queue.EnqueueOptions{}},
		} {
			ids, err := queue.New(s, c.name, nil).EnqueueAll(t.Context(), c.values, &c.opts)
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("%q, %d values, %+v: %v, %v", c.name, len(c.values), c.opts, ids, err)
			}
		}
		if keys := server.Keys("jobs//"); len(keys) > 0 {
			t.Errorf("there are %q", keys)
		}
	})
}

// TestAnEnqueueWhoseAnswerCannotBeRightIsAnError: the answer says that the tail has changed, and
// shows it as it was.
func TestAnEnqueueWhoseAnswerCannotBeRightIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			const compares = `"compare":[`
			never := compares + `{"target":"VERSION","key":"eA==","version":"5"},`
			if c.IsTxn("item") {
				c.Body = bytes.Replace(c.Body, []byte(compares), []byte(never), 1)
			}
			return c.Apply()
		})
		ids, err := q.EnqueueAll(t.Context(), [][]byte{[]byte("item 1"), []byte("item 2")}, nil)
		if len(ids) > 0 || !errors.Is(err, gateway.ErrProtocol) {
			t.Errorf("EnqueueAll = %q, %v", ids, err)
		}
	})
}

// TestAClaimWhoseAnswerLacksTheItemIsNoPanic: the item is read again.
func TestAClaimWhoseAnswerLacksTheItemIsNoPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		large := bytes.Repeat([]byte("x"), 20<<10) // a claim reads it
		if _, err := q.Enqueue(t.Context(), large, nil); err != nil {
			t.Fatal(err)
		}
		keys, cut := regexp.MustCompile(`"kvs":\[[^]]*\],?`), false
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			a := c.Apply()
			claims := c.IsTxn("jobs//c/") && bytes.Contains(c.Body, []byte("request_put"))
			if !cut && claims && keys.Match(a.Body) {
				cut = true
				a.Body = keys.ReplaceAll(a.Body, nil)
			}
			return a
		})
		m, err := q.Receive(t.Context())
		if err != nil || !cut || !bytes.Equal(m.Value, large) {
			t.Errorf("Receive = %v, cut %v", err, cut)
		}
	})
}
