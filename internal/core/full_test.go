package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// holdKey returns a hold of a key that the session puts, as a recipe does.
func holdKey(
	t *testing.T, s *session.Session, key string, free func(),
) (*core.Hold, *core.Releaser) {
	t.Helper()
	out, err := core.Of(s).Write(t.Context(), put(s, key))
	if err != nil {
		t.Fatal(err)
	}
	return core.Of(s).Hold(key, out.Revision, free)
}

// loseOnce loses the answer to the first transaction that contains text, after calling at.
func loseOnce(text string, apply bool, at func()) func(c *fakeetcd.Call) fakeetcd.Answer {
	lost := false
	return func(c *fakeetcd.Call) fakeetcd.Answer {
		if lost || !c.IsTxn(text) {
			return c.Apply()
		}
		if lost = true; apply {
			c.Apply()
		}
		at()
		return fakeetcd.Lost
	}
}

// releaseWith releases a hold with an operation, as a write that may share a transaction.
func releaseWith(ctx context.Context, grip *core.Releaser, op gateway.Op) error {
	return grip.ReleaseWith(ctx, core.ReleaseWrite{Weight: 1, Then: []gateway.Op{op}})
}

// TestReleaseWhileFull: the database is full and the answer to a release is lost, before or after
// it was applied. The key is deleted, and is reused only when no copy of the release can delete it
// any more.
func TestReleaseWhileFull(t *testing.T) {
	t.Parallel()
	marker := gateway.OpPut("marker", []byte("clean"))
	for _, tt := range []struct {
		name    string
		apply   bool
		also    []gateway.Op
		release func(g *core.Releaser, ctx context.Context) error
	}{
		{"lost before", false, nil, (*core.Releaser).Release},
		{"lost after", true, nil, (*core.Releaser).Release},
		{"lost before, with a marker", false, []gateway.Op{marker}, (*core.Releaser).Release},
		{"lost before, together", false, nil, func(g *core.Releaser, ctx context.Context) error {
			return g.ReleaseWith(ctx, core.ReleaseWrite{Weight: 1, Deletes: []string{"item"}})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				freed := 0
				_, grip := holdKey(t, s, "line/me", func() { freed++ })
				grip.AddReleaseOps(tt.also...)
				var late *fakeetcd.Call
				lose := loseOnce("line/me", tt.apply, func() { etcd.Fill(true) })
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if late == nil && c.IsTxn("line/me") {
						late = c
					}
					return lose(c)
				})
				if err := tt.release(grip, within(t, 10*time.Second)); err != nil {
					t.Errorf("release: %v", err)
				}
				if keys := etcd.Keys("line/"); len(keys) > 0 {
					t.Errorf("%v is left", keys)
				}
				time.Sleep(time.Minute)
				etcd.Fill(false)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if freed != 1 {
					t.Errorf("freed %d times", freed)
				}
				holdKey(t, s, "line/me", func() {})
				late.Apply()
				if keys := etcd.Keys("line/"); len(keys) != 1 {
					t.Error("a late copy of the release has deleted the next key")
				}
				if err := s.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestKeyInDoubtWhileFull: a key is not reused while a copy of its release may be applied.
func TestKeyInDoubtWhileFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		freed := false
		_, grip := holdKey(t, s, "line/me", func() { freed = true })
		etcd.Script(loseOnce("line/me", false, func() { etcd.Fill(true) }))
		if err := grip.Release(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if freed {
			t.Error("freed while a copy of the release may come")
		}
	})
}

// TestWaiterWhileFull: a join was applied and not answered, the database is full and the caller
// returns. The key is deleted, and deleted again when a late copy has put it once there is space.
func TestWaiterWhileFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		var late *fakeetcd.Call
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if late == nil && c.IsTxn("line/me") {
				late = c
				c.Apply()
				etcd.Fill(true)
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		w := put(s, "line/me")
		w.Key, w.Compensation = "line/me", nil
		settled := false
		w.OnResolved = func() { settled = true }
		if _, err := core.Of(s).Write(within(t, time.Second), w); !errors.Is(err, gateway.ErrNoSpace) {
			t.Errorf("Write = %v", err)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if keys := etcd.Keys("line/"); len(keys) > 0 || settled {
			t.Errorf("%v is left; settled: %v", keys, settled)
		}
		etcd.Fill(false)
		late.Apply()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if keys := etcd.Keys("line/"); len(keys) > 0 || !settled {
			t.Errorf("with space again %v is left; settled: %v", keys, settled)
		}
	})
}

// TestReleaseOtherwiseWhileFull: a release that puts a key is rejected, or continues in the
// background. A release that only deletes succeeds, and the first is not applied any more.
func TestReleaseOtherwiseWhileFull(t *testing.T) {
	t.Parallel()
	for _, cutOff := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			_, grip := holdKey(t, s, "claim/me", func() {})
			etcd.Fill(true)
			ctx := within(t, time.Second)
			if cutOff {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				cancel()
			}
			err := releaseWith(ctx, grip, gateway.OpPut("dead/me", nil))
			if !errors.Is(err, gateway.ErrNoSpace) && !cutOff || err == nil {
				t.Errorf("a release with a put: %v", err)
			}
			begin := time.Now()
			item := gateway.OpDelete("item")
			if err := releaseWith(within(t, time.Minute), grip, item); err != nil {
				t.Errorf("cut off %t: one that only deletes: %v", cutOff, err)
			}
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			err = releaseWith(within(t, time.Second), grip, item)
			if !errors.Is(err, session.ErrNotHeld) {
				t.Errorf("a third: %v", err)
			}
			etcd.Fill(false)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if keys := append(etcd.Keys("claim/"), etcd.Keys("dead/")...); len(keys) > 0 {
				t.Errorf("%v is left", keys)
			}
		})
	}
}

// TestGroupWhileFull: of several releases in one rejected transaction, those that only delete
// succeed.
func TestGroupWhileFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		errs := make(chan error)
		_, busy := holdKey(t, s, "busy", func() {})
		_, ack := holdKey(t, s, "ack", func() {})
		_, reject := holdKey(t, s, "reject", func() {})
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("busy") {
				c.Sleep(100 * time.Millisecond)
				etcd.Fill(true)
			}
			return c.Apply()
		})
		go func() { errs <- releaseWith(t.Context(), busy, gateway.OpGet("x")) }()
		time.Sleep(50 * time.Millisecond)
		go func() { errs <- releaseWith(t.Context(), ack, gateway.OpGet("x")) }()
		go func() { errs <- releaseWith(t.Context(), reject, gateway.OpPut("dead", nil)) }()
		var failed []string
		for range 3 {
			if err := <-errs; err != nil {
				failed = append(failed, err.Error())
			}
		}
		if len(failed) != 1 || !strings.Contains(failed[0], "space") {
			t.Errorf("%q", failed)
		}
		if len(etcd.Keys("ack")) > 0 || len(etcd.Keys("reject")) != 1 {
			t.Errorf("left: %v, %v", etcd.Keys("ack"), etcd.Keys("reject"))
		}
	})
}

// TestCloseWhileFull: Close deletes the keys of the session.
func TestCloseWhileFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		holdKey(t, s, "line/me", func() {})
		etcd.Fill(true)
		if err := s.Close(t.Context()); err != nil || len(etcd.Keys("line/")) > 0 {
			t.Errorf("%v; left: %v", err, etcd.Keys("line/"))
		}
	})
}

// TestNotAppliedWhileFull: the first try of a write that only deletes is not answered, the database
// is full, and If does not hold for the next try. The outcome is unknown, because the first may be
// applied once If holds. In the background it is made void, and not applied.
func TestNotAppliedWhileFull(t *testing.T) {
	t.Parallel()
	for _, batched := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			writes := map[string]core.Write{}
			for _, key := range []string{"kept/1", "kept/2"} {
				etcd.Put(key, "")
				writes[key] = core.Write{
					If:   []gateway.Cmp{gateway.CmpCreateRevision("go", gateway.Greater, 0)},
					Then: []gateway.Op{gateway.OpDelete(key)},
				}
			}
			var late *fakeetcd.Call
			lose := loseOnce("kept/1", false, func() { etcd.Fill(true) })
			script := func(c *fakeetcd.Call) fakeetcd.Answer {
				if late == nil && c.IsTxn("kept/1") {
					late = c
				}
				return lose(c)
			}
			results := map[string]result{}
			if batched {
				results = together(t, etcd, s, script, writes, nil)
			} else {
				etcd.Script(script)
				out, err := core.Of(s).Write(within(t, 5*time.Second), writes["kept/1"])
				results["kept/1"] = result{out, err}
			}
			for key, r := range results {
				if !errors.Is(r.err, gateway.ErrUncertain) || !errors.Is(r.err, gateway.ErrNoSpace) {
					t.Errorf("%s: %+v, %v", key, r.out, r.err)
				}
			}
			etcd.Fill(false)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			etcd.Put("go", "")
			late.Apply()
			if keys := etcd.Keys("kept/"); len(keys) != 2 {
				t.Errorf("batched %t: only %v is left", batched, keys)
			}
		})
	}
}
