package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// once is a transaction that counts in the version of a key how often it was applied.
func once(key string, then bool) gateway.Txn {
	rel := gateway.Equal
	if !then {
		rel = gateway.NotEqual
	}
	return gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision("no-such-key", rel, 0)},
		Then: []gateway.Op{gateway.OpPut(key, []byte("then"))},
		Else: []gateway.Op{gateway.OpPut(key, []byte("else")), gateway.OpGet(key)},
	}
}

// apply applies once, or, if flat, the same with an Else that only reads.
func apply(
	ctx context.Context, s *session.Session, flat bool, key string, then bool,
) (*gateway.TxnResponse, error) {
	t := once(key, then)
	if !flat {
		return s.Txn(ctx, t)
	}
	t.Else = t.Else[1:]
	return core.Of(s).TxnFlat(ctx, t, 0)
}

func TestTxn(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		for _, lost := range []int{0, 1, 2} {
			for _, c := range []struct {
				flat    bool
				then    bool
				stored  string
				answers int
			}{
				{false, true, "then", 1},
				{false, false, "else", 2},
				{true, true, "then", 1},
				{true, false, "", 1},
			} {
				t.Run(fmt.Sprintf("%s/%d/%s%d", loss.name, lost, c.stored, c.answers), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						etcd := fakeetcd.Start(t)
						s := open(t, etcd, nil)
						for i := range 3 { // the receipt is reused
							var copies []*fakeetcd.Call
							etcd.Script(func(call *fakeetcd.Call) fakeetcd.Answer {
								if call.Path == "/kv/txn" && len(copies) < lost {
									copies = append(copies, call)
									return loss.lose(call)
								}
								return call.Apply()
							})
							key := fmt.Sprint("k", i)
							resp, err := apply(t.Context(), s, c.flat, key, c.then)
							if err != nil {
								t.Fatal(err)
							}
							for _, call := range copies {
								call.Apply()
							}
							kv, _ := etcd.Get(key)
							if string(kv.Value) != c.stored || resp.Succeeded != c.then {
								t.Errorf("%s, answered %v", kv.Value, resp.Succeeded)
							}
							if c.stored != "" && (kv.Version != 1 || resp.Revision != kv.ModRevision) {
								t.Errorf("revision %d, stored %+v", resp.Revision, kv)
							}
							if resp.Responses != nil && len(resp.Responses) != c.answers {
								t.Errorf("responses = %+v", resp.Responses)
							}
						}
						if receipts := etcd.Keys(record(s) + "/"); len(receipts) > 1 {
							t.Errorf("receipts: %v", receipts)
						}
					})
				})
			}
		}
	}
}

func TestTxnsConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case c.Path == "/kv/txn" && c.N%4 == 1:
				c.Apply()
				return fakeetcd.Lost
			case c.Path == "/kv/txn" && c.N%7 == 2:
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		const n = 50
		errs := make(chan error, n)
		for i := range n {
			go func() {
				resp, err := apply(t.Context(), s, i%4 > 1, fmt.Sprintf("k%02d", i), i%2 == 0)
				if err == nil && resp.Succeeded != (i%2 == 0) {
					err = errors.New("the other branch")
				}
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		for i := range n {
			if kv, _ := etcd.Get(fmt.Sprintf("k%02d", i)); kv.Version != 1 && i%4 != 3 ||
				kv.Version > 0 && i%4 == 3 {
				t.Errorf("%d applied %d times", i, kv.Version)
			}
		}
	})
}

// TestTxnCutOff: the caller has returned, and calls Txn again. The first transaction must not be
// applied later.
func TestTxnCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		var first *fakeetcd.Call
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if first == nil {
				first = c
				return c.Silence()
			}
			return c.Apply()
		})
		_, err := apply(within(t, 200*time.Millisecond), s, true, "a", true)
		if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Txn = %v", err)
		}
		if _, err := s.Txn(t.Context(), once("b", true)); err != nil {
			t.Error(err)
		}
		synctest.Wait() // until it is resolved
		first.Apply()
		if _, ok := etcd.Get("a"); ok {
			t.Error("it came late")
		}
	})
}

func TestHoldTxn(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				h := hold(t, s, "hold")
				lost := 0
				var copies []*fakeetcd.Call
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/kv/txn" && lost > 0 {
						lost--
						copies = append(copies, c)
						return loss.lose(c)
					}
					return c.Apply()
				})
				lost = 1
				if resp, err := h.Txn(t.Context(), once("a", true)); err != nil || !resp.Succeeded {
					t.Errorf("Txn = %+v, %v", resp, err)
				}
				etcd.Delete("hold")
				lost = 1
				if _, err := h.Txn(t.Context(), once("b", true)); !errors.Is(err, session.ErrNotHeld) ||
					!strings.Contains(err.Error(), "hold") {
					t.Errorf("Txn without the key = %v", err)
				}
				for _, c := range copies {
					c.Apply()
				}
				if kv, _ := etcd.Get("a"); kv.Version != 1 || len(etcd.Keys("b")) != 0 {
					t.Errorf("a = %+v, b = %v", kv, etcd.Keys("b"))
				}
			})
		})
	}
}

func TestTxnAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.BreakWatches(true)
		etcd.Revoke(s.Lease())
		if _, err := s.Txn(t.Context(), once("a", true)); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("Txn = %v", err)
		}
		if len(etcd.Keys("a")) != 0 {
			t.Error("applied")
		}
	})
}

// TestReceiptDeleted: an operator deletes the keys below the record.
func TestReceiptDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		for i := range 3 {
			if _, err := s.Txn(t.Context(), once(fmt.Sprint("k", i), true)); err != nil {
				t.Fatal(err)
			}
			etcd.Delete(record(s) + "/w0")
		}
	})
}

// TestTxnAfterResume: a receipt of the earlier process is not taken for one of this process.
func TestTxnAfterResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		txn := gateway.Txn{Then: []gateway.Op{gateway.OpPut("k", nil)}}
		if _, err := old.Txn(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
		old.Orphan()
		etcd.Delete("k")
		s := resume(t, etcd, old.Lease(), nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.N == 1 {
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		if resp, err := s.Txn(t.Context(), txn); err != nil || !resp.Succeeded ||
			len(etcd.Keys("k")) != 1 {
			t.Errorf("Txn = %+v, %v, keys %v", resp, err, etcd.Keys("k"))
		}
	})
}
