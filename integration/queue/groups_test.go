package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

var groupProcess = reexec.Register("group", func(p party) int { return p.run(p.consumeGroups) })

// consumeGroups works on the items of groups in 8 goroutines. While an item of a group is worked
// on, there is a key under the session's lease. The transaction of the ack compares that the item
// before was the last one of its group, and notes a complaint otherwise.
func (p party) consumeGroups(ctx context.Context, s *session.Session) error {
	odd := int(p.Self[len(p.Self)-1]) % 2
	q := queue.New(s, p.Name, &queue.Options{Prefetch: 4 * odd})
	return q.Consume(ctx, 8, func(ctx context.Context, m *queue.Message) error {
		at, busy := p.Name+".at/"+m.Group, p.Name+".busy/"+m.Group
		i, err := strconv.Atoi(string(m.Value))
		if err != nil {
			return err
		}
		bad := func(what string) gateway.Op {
			return gateway.OpPut(fmt.Sprintf("%s.bad/%s-%s-%d", p.Name, what, m.Group, i), nil)
		}
		_, err = m.Txn(ctx, gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpCreateRevision(busy, gateway.Equal, 0)},
			Then: []gateway.Op{gateway.OpPut(busy, nil, gateway.WithLease(s.Lease()))},
			Else: []gateway.Op{bad("busy")},
		})
		if err != nil {
			return err
		}
		select { // the work
		case <-time.After(rand.N(5 * time.Millisecond)):
		case <-ctx.Done():
		}
		return m.AckWith(ctx, gateway.OpDelete(busy), gateway.OpTxn(gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpValue(at, gateway.Equal, []byte(strconv.Itoa(i)))},
			Then: []gateway.Op{gateway.OpPut(at, []byte(strconv.Itoa(i+1)))},
			Else: []gateway.Op{bad("order")},
		}))
	})
}

// TestGroupsWhileConsumersAreKilled: items of each group are done once, in their order and one at a
// time, while consumers in processes of their own are killed. HOLDFAST_QUEUE_FULL makes it 10,000
// items of 100 groups and 200 kills.
func TestGroupsWhileConsumersAreKilled(t *testing.T) {
	t.Parallel()
	const parties = 3
	each, groups, most := sized(30, 100), sized(20, 100), sized(6, 200)
	c := newClient(t, gateway.Config{})
	name := fresh(t)
	q := queue.New(newSession(t, c, nil), name, nil)
	begin := time.Now()
	var all sync.WaitGroup
	for g := range groups {
		group := "customer/" + strconv.Itoa(g)
		if _, err := c.Put(within(t, patience), name+".at/"+group, []byte("0")); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for i := range each {
				_, err := q.Enqueue(within(t, patience), []byte(strconv.Itoa(i)),
					&queue.EnqueueOptions{Group: group})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	launch := func(self string) *exec.Cmd {
		return start(t, groupProcess, party{
			Endpoint: cluster.Endpoints()[0], Name: name, Self: self,
		})
	}
	var consumers []*exec.Cmd
	for i := range parties {
		consumers = append(consumers, launch(strconv.Itoa(i)))
	}
	all.Wait()
	kills := 0
	for {
		st := stats(t, q)
		if st.Ready+st.Claimed == 0 {
			break
		}
		if time.Since(begin) > 10*time.Minute {
			t.Fatalf("stuck: %+v", st)
		}
		pause(t, t.Context(), rand.N(400*time.Millisecond), "items")
		if kills < most {
			i := kills % parties
			if err := consumers[i].Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = consumers[i].Wait()
			kills++
			consumers[i] = launch(fmt.Sprintf("%d.%d", i, kills))
		}
	}
	figure(t, "%d items of %d groups with %d kills: %v", each*groups, groups, kills, time.Since(begin))
	bad, err := c.Get(within(t, patience), name+".bad/", gateway.Prefix(), gateway.KeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range bad.KVs {
		t.Error(kv.Key)
	}
	ends, err := c.Get(within(t, patience), name+".at/", gateway.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range ends.KVs {
		if string(kv.Value) != strconv.Itoa(each) {
			t.Errorf("%s is %s, not %d", kv.Key, kv.Value, each)
		}
	}
}
