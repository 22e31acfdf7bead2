package core_test

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// cutPath is a path to a server that needs time for each connection and each answer.
type cutPath struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	random *rand.Rand
	open   []net.Conn
}

// late returns a random time. Two of them have a mean of 80 ms.
func (p *cutPath) late() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.random.ExpFloat64() * float64(40*time.Millisecond))
}

func (p *cutPath) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case <-time.After(p.late()):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := p.dial(ctx, network, address)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open = append(p.open, conn)
	}
	return conn, err
}

func (p *cutPath) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		_ = conn.Close()
	}
	p.open = nil
}

// TestCallsWhileAllConnectionsAreCut: on a path that cuts all connections every 100 ms and needs
// 80 ms to set one up and answer on it, no write and no read of ten goroutines takes more than
// 2 s, in all of 3 minutes.
func TestCallsWhileAllConnectionsAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		cfg := etcd.Config()
		p := &cutPath{dial: cfg.DialContext, random: rand.New(rand.NewPCG(1, 2))}
		cfg.Endpoints = []string{"http://a:2379", "http://b:2379", "http://c:2379"}
		cfg.DialContext = p.Dial
		c, err := gateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		public, err := session.New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := core.Of(public)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(p.late())
			return c.Apply()
		})
		cuts := time.NewTicker(100 * time.Millisecond)
		over, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-cuts.C:
					p.cut()
				case <-over:
					return
				}
			}
		}()
		var mu sync.Mutex
		var write, read time.Duration // the longest
		call := func(longest *time.Duration, do func() error) {
			at := time.Now()
			err := do()
			took := time.Since(at)
			mu.Lock()
			defer mu.Unlock()
			*longest = max(*longest, took)
			if err != nil {
				t.Error(err)
			}
		}
		var all sync.WaitGroup
		for i := range 10 {
			key := "k" + strconv.Itoa(i)
			all.Go(func() {
				for began := time.Now(); time.Since(began) < 3*time.Minute; {
					call(&write, func() error {
						put := gateway.OpPut(key, []byte("x"))
						_, err := s.Write(t.Context(), core.Write{Then: []gateway.Op{put}})
						return err
					})
					call(&read, func() error {
						_, err := c.Get(t.Context(), key)
						return err
					})
				}
			})
		}
		all.Wait()
		close(over)
		<-done
		t.Logf("the longest write took %v, the longest read %v", write, read)
		if limit := 2 * time.Second; write > limit || read > limit {
			t.Errorf("a write took %v, a read %v", write, read)
		}
		etcd.Script(nil)
		_ = s.Close(t.Context())
	})
}

// TestAWriteThatIsAlwaysCutIsTriedWithGrowingPauses: a server that closes the connection of each
// write is tried 12 times a second at first, and once a second later.
func TestAWriteThatIsAlwaysCutIsTriedWithGrowingPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		var tries atomic.Int64
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				tries.Add(1)
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			_, _ = core.Of(s).Write(ctx, core.Write{Then: []gateway.Op{gateway.OpPut("k", nil)}})
		}()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		first := tries.Load()
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if later := tries.Load() - first; first < 50 || first > 70 || later < 35 || later > 90 {
			t.Errorf("%d tries in 5 s, then %d in 50 s", first, later)
		}
		etcd.Script(nil)
	})
}
