package limit_test

import (
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

func TestCounter(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := limit.NewCounter(bubble.Session(t, etcd), name)
		check := func(got, want int64, err error) {
			t.Helper()
			if got != want || err != nil {
				t.Errorf("%d, %v, want %d", got, err, want)
			}
		}
		n, err := c.Get(t.Context())
		check(n, 0, err)
		n, err = c.Add(t.Context(), 5)
		check(n, 5, err)
		n, err = c.Add(t.Context(), -7)
		check(n, -2, err)
		ok, err := c.CompareAndSwap(t.Context(), -2, math.MaxInt64)
		if !ok || err != nil {
			t.Errorf("CompareAndSwap = %v, %v", ok, err)
		}
		ok, err = c.CompareAndSwap(t.Context(), -2, 1)
		if ok || err != nil {
			t.Errorf("CompareAndSwap = %v, %v", ok, err)
		}
		if _, err = c.Add(t.Context(), 1); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Add = %v", err)
		}
		n, err = c.Get(t.Context())
		check(n, math.MaxInt64, err)
		etcd.Put(name+"//counter", "many")
		if _, err := c.Add(t.Context(), 1); !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("Add = %v", err)
		}
		if _, err := limit.NewCounter(s, "a//b").Get(t.Context()); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Get = %v", err)
		}
	})
}

// TestNumbersAfterLostAnswers: each Add counts once, and no ID is there twice.
func TestNumbersAfterLostAnswers(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if a := c.Apply(); c.N%3 > 0 {
				return a
			}
			return fakeetcd.Lost
		})
		var of sync.WaitGroup
		var mu sync.Mutex
		seen := map[int64]bool{}
		for range 3 {
			s := bubble.Session(t, etcd)
			c, ids := limit.NewCounter(s, name), limit.NewIDs(s, name, &limit.IDOptions{MaxBlock: 4})
			of.Go(func() {
				for range 10 {
					_, err := c.Add(t.Context(), 1)
					id, idErr := ids.Next(t.Context())
					if err := errors.Join(err, idErr); err != nil {
						t.Error(err)
					}
					mu.Lock()
					if seen[id] || id < 1 {
						t.Errorf("ID %d again", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			})
		}
		of.Wait()
		if kv, _ := etcd.Get(name + "//counter"); string(kv.Value) != "30" {
			t.Errorf("the counter is %s", kv.Value)
		}
	})
}

// TestIDsGrow: the blocks of a busy process grow, and shrink again. One process leaves no gap.
func TestIDsGrow(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		ids := limit.NewIDs(s, name, &limit.IDOptions{MaxBlock: 64})
		last, before := int64(0), etcd.Revision()
		for range 1000 {
			id, err := ids.Next(t.Context())
			if err != nil || id != last+1 {
				t.Fatalf("%d after %d, %v", id, last, err)
			}
			last = id
		}
		if writes := etcd.Revision() - before; writes > 25 {
			t.Errorf("%d writes", writes)
		}
		first, err := ids.Take(t.Context(), 500)
		if err != nil || first != 1001 {
			t.Errorf("Take = %d, %v", first, err)
		}
		other, err := limit.NewIDs(s, name, nil).Next(t.Context())
		if err != nil || other < 1501 || other > 1501+64 {
			t.Errorf("another has %d, %v", other, err)
		}
		for range 10 {
			time.Sleep(time.Minute)
			_, err = ids.Take(t.Context(), 100) // more than a block
			if err != nil {
				t.Error(err)
			}
		}
		kv, _ := etcd.Get(name + "//next")
		time.Sleep(time.Minute)
		id, err := limit.NewIDs(s, name, nil).Next(t.Context())
		if err != nil || id < 2502 || id > 2502+64 {
			t.Errorf("Next = %d, %v; it was %s", id, err, kv.Value)
		}
	})
}

func TestInvalidIDs(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		good := limit.NewIDs(s, name, nil)
		_, none := good.Take(t.Context(), 0)
		_, many := good.Take(t.Context(), 1_000_001)
		_, block := limit.NewIDs(s, name, &limit.IDOptions{MaxBlock: -1}).Next(t.Context())
		_, bad := limit.NewIDs(s, "a//b", nil).Next(t.Context())
		etcd.Put(name+"//next", "9223372036854775807")
		_, used := good.Next(t.Context())
		for _, err := range []error{none, many, block, bad, used} {
			if !errors.Is(err, gateway.ErrInvalid) {
				t.Errorf("the error is %v", err)
			}
		}
		etcd.Put(name+"//next", "x")
		if _, err := good.Next(t.Context()); !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("Next = %v", err)
		}
	})
}

// TestIDsAfterTheEnd: IDs that were taken ahead are not returned after the session has ended.
func TestIDsAfterTheEnd(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		s := bubble.Session(t, etcd)
		ids := limit.NewIDs(s, name, nil)
		for range 5 { // of a block of 4 in the end
			if _, err := ids.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.Orphan()
		if n, err := ids.Next(t.Context()); !errors.Is(err, session.ErrLost) {
			t.Errorf("Next = %d, %v", n, err)
		}
	})
}
