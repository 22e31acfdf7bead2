package once_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// sometimes matches one in n of the requests that change keys.
func sometimes(n int) func(*faultproxy.Request) bool {
	return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(n) == 0 }
}

// TestDroppedAnswers: while answers are lost, and requests arrive later than their repetitions,
// each name has one run and one commit, and every caller has its result.
func TestDroppedAnswers(t *testing.T) {
	t.Parallel()
	const drops, callers = 200, 12
	p, err := faultproxy.NewHTTP(cluster.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	direct := newClient(t, gateway.Config{})
	var sessions []*session.Session
	for range 4 {
		c := newClient(t, gateway.Config{
			Endpoints: []string{p.URL()}, AttemptTimeout: 300 * time.Millisecond,
		})
		sessions = append(sessions, newSession(t, c, &session.Options{TTL: 60 * time.Second}))
	}
	dropped := p.Add(faultproxy.Rule{Match: sometimes(5), Action: faultproxy.Drop})
	hung := p.Add(faultproxy.Rule{Match: sometimes(60), Action: faultproxy.Hang})
	late := p.Add(faultproxy.Rule{
		Match: sometimes(20), Action: faultproxy.DelayBefore(600 * time.Millisecond),
	})
	base := fresh(t)
	names := 0
	for ; dropped.Hits() < drops && names < 1000; names++ {
		name := base + "/" + strconv.Itoa(names)
		var mu sync.Mutex
		runs, values := 0, map[string]int{}
		var of sync.WaitGroup
		for i := range callers {
			o := once.New(sessions[i%len(sessions)], name, nil)
			of.Go(func() {
				res, err := o.Do(within(t, time.Minute),
					func(ctx context.Context, run *once.Run) ([]byte, error) {
						mu.Lock()
						runs++
						mu.Unlock()
						return nil, run.Complete(ctx, []byte(strconv.Itoa(i)), gateway.OpPut(name+"-done", nil))
					})
				mu.Lock()
				defer mu.Unlock()
				values[string(res.Value)]++
				if err != nil || res.Attempt != 1 {
					t.Errorf("attempt %d, %v", res.Attempt, err)
				}
			})
		}
		of.Wait()
		if runs != 1 || len(values) != 1 {
			t.Errorf("%s: %d runs, results %v", name, runs, values)
		}
	}
	figure(t,
		"%d answers dropped, %d withheld, %d requests delivered after their retry; %d names, %d calls",
		dropped.Hits(), hung.Hits(), late.Hits(), names, names*callers)
	// Late requests may still arrive. None of them may commit again or join a line.
	pause(t, t.Context(), time.Second, "late requests")
	resp, err := direct.Get(within(t, time.Minute), base+"/", gateway.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.KVs) != 2*names {
		t.Errorf("%d keys of %d names", len(resp.KVs), names)
	}
	for _, kv := range resp.KVs {
		if kv.Version != 1 {
			t.Errorf("%s was put %d times", kv.Key, kv.Version)
		}
	}
	p.Clear()
}
