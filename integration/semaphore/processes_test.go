package semaphore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

func kv(key string, rev int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{
		Key: []byte(key), CreateRevision: rev, ModRevision: rev,
		Value: []byte("1"),
	}
}

// worker is one of the processes of TestManyProcessesKeepTheGuarantees.
var worker = reexec.Register("worker", work)

type job struct {
	Endpoints  []string
	Name       string
	Limit      int
	Goroutines int
	Rounds     int
}

// work does a job and prints its grants.
func work(j job) int {
	grants, err := j.do(context.Background())
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(grants)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (j job) do(ctx context.Context) (grants []grant, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("%+v takes too long", j))
	defer cancel()
	c, err := gateway.New(gateway.Config{Endpoints: j.Endpoints})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := session.New(ctx, c, &session.Options{TTL: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	defer s.Close(ctx)
	m := semaphore.New(s, j.Name, j.Limit, nil)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range j.Goroutines {
		all.Go(func() {
			for range j.Rounds {
				g, one := j.round(ctx, m)
				mu.Lock()
				grants = append(grants, g)
				if one != nil {
					err = one
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return grants, err
}

func (j job) round(ctx context.Context, m *semaphore.Semaphore) (grant, error) {
	p, err := m.Acquire(ctx, 1+rand.N(j.Limit))
	if err != nil {
		return grant{}, err
	}
	g := grantOf(p)
	select {
	case <-time.After(rand.N(2 * time.Millisecond)):
	case <-p.Context().Done():
	}
	g.To = time.Now().UnixNano()
	return g, p.Release(ctx)
}

// TestManyProcessesKeepTheGuarantees: 200 goroutines in four processes share three permits.
func TestManyProcessesKeepTheGuarantees(t *testing.T) {
	const processes = 4
	direct := newClient(t, gateway.Config{})
	from := revision(t, direct)
	j := job{Endpoints: cluster.Endpoints(), Name: fresh(t), Limit: 3, Goroutines: 50, Rounds: 3}
	var mu sync.Mutex
	var grants []grant
	var all sync.WaitGroup
	begin := time.Now()
	for range processes {
		all.Go(func() {
			out, err := worker.Command(t.Context(), j).Output()
			var own []grant
			if err == nil {
				err = json.Unmarshal(out, &own)
			}
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			grants = append(grants, own...)
		})
	}
	all.Wait()
	took := time.Since(begin)
	h := replay(t, cluster.Cluster, j.Name, from)
	h.confirms(grants)
	most := overlap(grants)
	figure(t, "%d goroutines in %d processes: %d grants of 1 to %d in %v, at most %d of %d held "+
		"at a time",
		processes*j.Goroutines, processes, len(grants), j.Limit, took.Round(time.Millisecond), most,
		j.Limit)
	if want := processes * j.Goroutines * j.Rounds; len(grants) != want || len(h.ever) != want {
		t.Errorf("%d grants, %d admitted, of %d", len(grants), len(h.ever), want)
	}
	if most > j.Limit || h.most > j.Limit {
		t.Errorf("%d held at a time, %d admitted", most, h.most)
	}
	if left := members(t, direct, j.Name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
