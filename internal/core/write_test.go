package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// put is a write that may be repeated and is compensated by a deletion, as a join is.
func put(s *session.Session, key string) core.Write {
	return core.Write{
		Then:         []gateway.Op{gateway.OpPut(key, nil, gateway.WithLease(s.Lease()))},
		Compensation: core.Deletion(key),
	}
}

// losses are the ways in which an answer is lost.
var losses = []struct {
	name string
	lose func(c *fakeetcd.Call) fakeetcd.Answer
}{
	{"before it is applied", func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Lost }},
	{"after it is applied", func(c *fakeetcd.Call) fakeetcd.Answer {
		c.Apply()
		return fakeetcd.Lost
	}},
	{"in silence", func(c *fakeetcd.Call) fakeetcd.Answer { return c.Silence() }},
	{"in silence, applied", func(c *fakeetcd.Call) fakeetcd.Answer { c.Apply(); return c.Silence() }},
	{"leader changed, applied", func(c *fakeetcd.Call) fakeetcd.Answer {
		c.Apply()
		return fakeetcd.Error(gateway.CodeUnavailable, "etcdserver: leader changed")
	}},
	{"unreadable, applied", func(c *fakeetcd.Call) fakeetcd.Answer {
		c.Apply()
		return fakeetcd.Answer{Status: 200, Body: []byte(`{"succeeded":`)}
	}},
}

func TestWriteAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		for lost := 1; lost <= 3; lost++ {
			t.Run(fmt.Sprintf("%s/%d", loss.name, lost), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					s := open(t, etcd, nil)
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.N <= lost {
							return loss.lose(c)
						}
						return c.Apply()
					})
					out, err := core.Of(s).Write(t.Context(), put(s, "a"))
					if err != nil || !out.Applied || !out.Repeated || len(out.Responses) != 1 ||
						out.Responses[0].Put == nil {
						t.Errorf("Write = %+v, %v", out, err)
					}
					if _, ok := etcd.Get("a"); !ok {
						t.Error("not written")
					}
					out, err = core.Of(s).Write(t.Context(), put(s, "b"))
					if err != nil || out.Repeated {
						t.Errorf("the next Write = %+v, %v", out, err)
					}
				})
			})
		}
	}
}

// TestLateCopies keeps every copy of a write except the answered one, and delivers them afterwards.
func TestLateCopies(t *testing.T) {
	t.Parallel()
	for kept := 1; kept <= 3; kept++ {
		t.Run(fmt.Sprint(kept), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				var copies []*fakeetcd.Call
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if len(copies) < kept {
						copies = append(copies, c)
						return fakeetcd.Lost
					}
					return c.Apply()
				})
				if _, err := core.Of(s).Write(t.Context(), put(s, "a")); err != nil {
					t.Fatal(err)
				}
				etcd.Delete("a")
				for _, c := range copies {
					c.Apply()
				}
				if kv, ok := etcd.Get("a"); ok {
					t.Errorf("a copy was applied: %+v", kv)
				}
				if err := s.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestFrozenServer keeps the copies in the server itself, which handles them, oldest first, when it
// runs again.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Freeze()
		ctx := within(t, 1500*time.Millisecond)
		_, err := core.Of(s).Write(ctx, put(s, "a"))
		if !errors.Is(err, gateway.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write = %v", err)
		}
		time.Sleep(time.Second)
		etcd.Thaw()
		time.Sleep(5 * time.Second)
		if _, ok := etcd.Get("a"); ok {
			t.Error("the write was not undone")
		}
		if err := s.Err(); err != nil {
			t.Error(err)
		}
	})
}

// TestLostAnswerThenEpochMovedThenRefused: the first copy was applied, another write changed the
// epoch, and the write ends with an error that by itself says nothing about the first copy.
func TestLostAnswerThenEpochMovedThenRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		lost := make(chan struct{})
		a := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if !c.IsTxn("key-a") {
				return c.Apply()
			}
			switch a++; a {
			case 1:
				c.Apply()
				close(lost)
				c.Sleep(100 * time.Millisecond)
				return fakeetcd.Lost
			case 3:
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		go func() {
			<-lost
			moveEpoch(etcd, s)
		}()
		settled := make(chan struct{})
		w := put(s, "key-a")
		w.OnResolved = func() { close(settled) }
		_, err := core.Of(s).Write(t.Context(), w)
		if !errors.Is(err, gateway.ErrPermissionDenied) || !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Write = %v", err)
		}
		select {
		case <-settled:
		case <-time.After(time.Minute):
			t.Error("never settled")
		}
		if _, ok := etcd.Get("key-a"); ok {
			t.Error("a ghost is left")
		}
	})
}

// moveEpoch puts the record as another write of the session would.
func moveEpoch(etcd *fakeetcd.Server, s *session.Session) {
	etcd.Touch(record(s))
}

func record(s *session.Session) string { return session.DefaultRecordPrefix + s.Lease().String() }

func TestWritersWhileTheEpochMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			switch {
			case c.Path != "/kv/txn":
			case c.N%3 == 0:
				return fakeetcd.Lost
			case c.N%5 == 0:
				c.Apply()
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		const writers = 30
		errs := make(chan error, writers)
		for i := range writers {
			go func() {
				out, err := core.Of(s).Write(t.Context(), put(s, fmt.Sprintf("k%02d", i)))
				if err == nil && !out.Applied {
					err = errors.New("not applied")
				}
				errs <- err
			}()
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n := len(etcd.Keys("k")); n != writers {
			t.Errorf("%d keys", n)
		}
	})
}

func TestWriteElse(t *testing.T) {
	t.Parallel()
	for lost := range 3 {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				etcd.Put("taken", "x")
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.N <= lost {
						return fakeetcd.Lost
					}
					return c.Apply()
				})
				before, _ := etcd.Get(record(s))
				out, err := core.Of(s).Write(t.Context(), core.Write{
					If:   []gateway.Cmp{gateway.CmpCreateRevision("taken", gateway.Equal, 0)},
					Then: []gateway.Op{gateway.OpPut("taken", []byte("y"))},
					Else: []gateway.Op{gateway.OpGet("taken"), gateway.OpGet("other")},
				})
				if err != nil || out.Applied || out.Repeated != (lost > 0) {
					t.Fatalf("Write = %+v, %v", out, err)
				}
				if len(out.Responses) != 2 || string(out.Responses[0].Get.KVs[0].Value) != "x" ||
					len(out.Responses[1].Get.KVs) != 0 {
					t.Errorf("responses = %+v", out.Responses)
				}
				after, _ := etcd.Get(record(s))
				if moved := after.ModRevision > before.ModRevision; moved != (lost > 0) {
					t.Errorf("epoch moved = %v", moved)
				}
				if after.Lease != s.Lease() || string(after.Value) != string(before.Value) {
					t.Errorf("the record was %+v and is %+v", before, after)
				}
			})
		})
	}
}

func TestWriteRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return fakeetcd.Denied() })
		_, err := core.Of(s).Write(t.Context(), put(s, "a"))
		if !errors.Is(err, gateway.ErrPermissionDenied) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Write = %v", err)
		}
	})
}

func TestForeignLeaseMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		_, err := s.Txn(t.Context(), gateway.Txn{
			Then: []gateway.Op{gateway.OpPut("a", nil, gateway.WithLease(4711))},
		})
		if !errors.Is(err, gateway.ErrLeaseNotFound) || errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Txn = %v", err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("the session has ended: %v", err)
		}
	})
}

func TestWriteWithoutLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		etcd.BreakWatches(true) // so that the session notices by the write
		etcd.Revoke(s.Lease())
		_, err := core.Of(s).Write(t.Context(), put(s, "a"))
		if !errors.Is(err, session.ErrLost) || !errors.Is(err, session.ErrRevoked) {
			t.Errorf("Write = %v", err)
		}
		if _, ok := etcd.Get("a"); ok {
			t.Error("written")
		}
	})
}

func TestWriteInsists(t *testing.T) {
	t.Parallel()
	for _, insist := range []bool{false, true} {
		t.Run(fmt.Sprint(insist), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				etcd.Put("a", "")
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				settled := 0
				w := core.Write{CompleteOnCancel: insist, OnResolved: func() { settled++ }}
				w.Then = []gateway.Op{gateway.OpDelete("a")}
				then := w.Then
				w.Compensation = func() []gateway.Op { return then }
				_, err := core.Of(s).Write(ctx, w)
				if !errors.Is(err, context.Canceled) || errors.Is(err, gateway.ErrUncertain) != insist {
					t.Errorf("Write = %v", err)
				}
				synctest.Wait()
				if _, ok := etcd.Get("a"); ok == insist || (settled == 1) != insist {
					t.Errorf("key is there: %v; settled %d times", ok, settled)
				}
			})
		})
	}
}
