package queue_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/queue"
)

func newHTTPProxy(tb testing.TB, target string) *faultproxy.HTTPProxy {
	tb.Helper()
	p, err := faultproxy.NewHTTP(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// sometimes matches one in n of the requests that change keys.
func sometimes(n int) func(*faultproxy.Request) bool {
	return func(r *faultproxy.Request) bool { return r.Path == "/v3/kv/txn" && rand.N(n) == 0 }
}

// itemsVar is the number of items of long forms.
const itemsVar = "HOLDFAST_QUEUE_ITEMS"

// number is HOLDFAST_QUEUE_ITEMS, or n without it.
func number(tb testing.TB, n int) int {
	tb.Helper()
	if v := os.Getenv(itemsVar); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			tb.Fatal(err)
		}
	}
	return n
}

// TestManyProcessesKeepTheGuarantees: with 8 producers and 8 consumers in processes of their own,
// consumers killed, answers lost and copies late, each item is done once.
func TestManyProcessesKeepTheGuarantees(t *testing.T) {
	t.Parallel()
	const parties, drops = 8, 200
	items := number(t, 1500) / parties * parties
	p := newHTTPProxy(t, cluster.Endpoints()[0])
	c := newClient(t, gateway.Config{})
	name := fresh(t)
	q := queue.New(newSession(t, c, nil), name, nil)

	dropped := p.Add(faultproxy.Rule{
		Match: sometimes(max(2, items*2/drops)), Action: faultproxy.Drop,
	})
	hung := p.Add(faultproxy.Rule{Match: sometimes(items), Action: faultproxy.Hang})
	late := p.Add(faultproxy.Rule{
		Match: sometimes(200), Action: faultproxy.DelayBefore(1200 * time.Millisecond),
	})
	begin := time.Now()
	var producers []*exec.Cmd
	consumers := map[int]*exec.Cmd{}
	for i := range parties {
		one := party{Endpoint: p.URL(), Name: name, Self: strconv.Itoa(i), Count: items / parties}
		producers = append(producers, start(t, producerProcess, one))
		consumers[i] = start(t, consumerProcess, one)
	}
	kills := 0
	isDone := func() bool {
		resp, err := c.Get(within(t, patience), name+".done/",
			gateway.Prefix(), gateway.CountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return resp.Count >= int64(items)
	}
	for last := time.Now(); !isDone(); {
		if time.Since(begin) > 4*time.Minute {
			t.Fatalf("stuck: %+v", stats(t, q))
		}
		pause(t, t.Context(), 50*time.Millisecond, "items")
		if time.Since(last) > 400*time.Millisecond && kills < max(24, items/300) {
			last = time.Now()
			i := rand.N(parties)
			if err := consumers[i].Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = consumers[i].Wait()
			kills++
			consumers[i] = start(t, consumerProcess, party{
				Endpoint: p.URL(), Name: name, Self: fmt.Sprintf("%d.%d", i, kills),
			})
		}
	}
	took := time.Since(begin)
	for _, cmd := range producers {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	pause(t, t.Context(), 1500*time.Millisecond, "late requests")
	figure(t,
		"%d items by 8 producers and 8 consumers in processes, %d kills, %d answers dropped, %d "+
			"withheld, %d requests late: %v",
		items, kills, dropped.Hits(), hung.Hits(), late.Hits(), took.Round(time.Millisecond))
	audit(t, c, q, name, items, kills)
}

// audit checks the records of the consumers.
func audit(t *testing.T, c *gateway.Client, q *queue.Queue, name string, items, kills int) {
	if st := stats(t, q); st.Ready+st.Claimed+st.Delayed+st.Dead != 0 ||
		st.Enqueued != int64(items) {
		t.Errorf("%+v", st)
	}
	read := func(what string) []gateway.KeyValue {
		resp, err := c.Get(within(t, patience), name+what, gateway.Prefix())
		if err != nil {
			t.Fatal(err)
		}
		return resp.KVs
	}
	for _, kv := range read(".bad/") {
		t.Error(kv.Key)
	}
	attempts := map[string]int{}
	for _, kv := range read(".seen/") {
		id := kv.Key[:strings.LastIndexByte(kv.Key, '/')]
		attempts[strings.TrimPrefix(id, name+".seen/")]++
	}
	all := read(".done/")
	if len(all) != items {
		t.Errorf("%d items done of %d", len(all), items)
	}
	// places of the items of each producer's goroutine
	repeated, places := 0, map[string]map[int]string{}
	for _, kv := range all {
		var d done
		if err := json.Unmarshal(kv.Value, &d); err != nil {
			t.Fatal(err)
		}
		id := strings.TrimPrefix(kv.Key, name+".done/")
		if d.Attempt < attempts[id] {
			t.Errorf("%s: done at attempt %d, delivered %d times", id, d.Attempt, attempts[id])
		}
		repeated += d.Attempt - 1
		stream, i, _ := strings.Cut(id, "/")
		n, err := strconv.Atoi(i)
		if err != nil {
			t.Fatal(err)
		}
		if places[stream] == nil {
			places[stream] = map[int]string{}
		}
		places[stream][n] = d.Place
	}
	if repeated > kills+3 { // a consumer holds one item; a machine that stalls may cost a session
		t.Errorf("%d attempts too many with %d kills", repeated, kills)
	}
	figure(t, "%d attempts repeated after %d kills", repeated, kills)
	for stream, at := range places {
		last := ""
		for i := range items {
			if p, ok := at[i]; ok && p <= last {
				t.Errorf("%s/%d has the place %s, behind one at %s", stream, i, p, last)
			} else if ok {
				last = p
			}
		}
	}
}
