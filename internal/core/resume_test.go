package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// resume resumes a session with a client of its own, and closes it at the end of the test.
func resume(
	t *testing.T, etcd *fakeetcd.Server, lease gateway.LeaseID, opts *session.Options,
) *session.Session {
	t.Helper()
	s, err := session.Resume(t.Context(), etcd.Client(t), lease, opts)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, s)
	synctest.Wait()
	return s
}

func closeLater(t *testing.T, s *session.Session) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx) // in some tests the server does not answer any more
	})
}

// whose returns the ID in the record of a lease.
func whose(t *testing.T, etcd *fakeetcd.Server, lease gateway.LeaseID) string {
	t.Helper()
	kv, ok := etcd.Get(session.DefaultRecordPrefix + lease.String())
	var info session.Info
	if !ok || json.Unmarshal(kv.Value, &info) != nil || kv.Lease != lease {
		t.Errorf("record = %+v", kv)
	}
	return info.ID
}

// isTakenOver checks that the session has ended with ErrResumedElsewhere, and cannot write.
func isTakenOver(t *testing.T, etcd *fakeetcd.Server, s *session.Session) {
	t.Helper()
	for _, err := range []error{s.Err(), context.Cause(s.Context())} {
		if !errors.Is(err, session.ErrResumedElsewhere) || !errors.Is(err, session.ErrLost) {
			t.Errorf("the earlier life: %v", err)
		}
	}
	rev := etcd.Revision()
	_, err := core.Of(s).Write(t.Context(), put(s, "late"))
	if !errors.Is(err, session.ErrResumedElsewhere) {
		t.Errorf("Write of the earlier life = %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close of the earlier life = %v", err)
	}
	if etcd.Revision() != rev {
		t.Error("the earlier life has changed something")
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, &session.Options{TTL: 10 * time.Second, Name: "one"})
		hold(t, old, "a")
		if _, err := old.Txn(t.Context(), gateway.Txn{}); err != nil {
			t.Fatal(err)
		}
		id := whose(t, etcd, old.Lease())
		old.Orphan()
		time.Sleep(6 * time.Second)
		s := resume(t, etcd, old.Lease(), &session.Options{TTL: time.Minute, Name: "two"})
		if s.Lease() != old.Lease() ||
			time.Until(s.Deadline()) != 10*time.Second-10*time.Second/100-100*time.Millisecond {
			t.Errorf("lease %v, ends in %v", s.Lease(), time.Until(s.Deadline()))
		}
		if infos, err := s.SessionInfos(t.Context(), s.Lease()); err != nil ||
			infos[s.Lease()].Name != "two" || infos[s.Lease()].ID == id {
			t.Errorf("Lookup = %v, %v", infos, err)
		}
		if keys := etcd.Keys(record(s) + "/"); len(keys) != 0 {
			t.Errorf("receipts of the earlier life: %v", keys)
		}
		time.Sleep(time.Minute)
		hold(t, s, "b")
		if keys := slices.Concat(etcd.Keys("a"), etcd.Keys("b")); s.Err() != nil || len(keys) != 2 {
			t.Errorf("%v, keys %v", s.Err(), keys)
		}
		if err := errors.Join(old.Close(t.Context()), s.Err()); err != nil {
			t.Error(err)
		}
		if err := s.Close(t.Context()); err != nil || etcd.Leases() != 0 {
			t.Errorf("Close = %v, %d leases", err, etcd.Leases())
		}
	})
}

// TestResumeDeadline: the deadline counts from the send of the renewal.
func TestResumeDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		old.Orphan()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			c.Sleep(800 * time.Millisecond)
			return c.Apply()
		})
		begin := time.Now()
		s := resume(t, etcd, old.Lease(), nil)
		want := session.DefaultTTL - session.DefaultTTL/100 - 100*time.Millisecond
		if s.Deadline().Sub(begin) != want {
			t.Errorf("ends %v after the beginning, want %v", s.Deadline().Sub(begin), want)
		}
	})
}

// TestResumeAfterLostAnswers loses the answer to each request of Resume in turn.
func TestResumeAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for _, loss := range losses {
		for _, path := range []string{"/lease/keepalive", "/kv/range", "/kv/txn"} {
			if path != "/kv/txn" && strings.HasPrefix(loss.name, "unreadable") {
				continue // etcd does not answer a read like that
			}
			t.Run(path+"/"+loss.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					old := open(t, etcd, nil)
					id := whose(t, etcd, old.Lease())
					old.Orphan()
					var copies []*fakeetcd.Call
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if c.Path == path && len(copies) < 2 {
							copies = append(copies, c)
							return loss.lose(c)
						}
						return c.Apply()
					})
					s := resume(t, etcd, old.Lease(), nil)
					kv, _ := etcd.Get(record(s))
					if kv.Version != 2 || whose(t, etcd, s.Lease()) == id || len(copies) != 2 {
						t.Errorf("record = %+v, %d answers lost", kv, len(copies))
					}
					if out, err := core.Of(s).Write(t.Context(), put(s, "a")); err != nil || out.Repeated {
						t.Errorf("Write = %+v, %v", out, err)
					}
					for _, c := range copies {
						c.Apply()
					}
					if after, _ := etcd.Get(record(s)); after.ModRevision != kv.ModRevision || s.Err() != nil {
						t.Errorf("a late copy moved the epoch: %+v", after)
					}
				})
			})
		}
	}
}

// TestResumeOfTheLiving: if the earlier process still runs, its session ends, however it learns of
// the other, and writes nothing more.
func TestResumeOfTheLiving(t *testing.T) {
	t.Parallel()
	const byWatch = "by the watch"
	for _, tt := range []struct {
		name  string
		learn func(t *testing.T, etcd *fakeetcd.Server, old *session.Session)
	}{
		{byWatch, func(*testing.T, *fakeetcd.Server, *session.Session) {}},
		{"by a write", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			out, err := core.Of(old).Write(t.Context(), put(old, "k"))
			if !errors.Is(err, session.ErrResumedElsewhere) || errors.Is(err, gateway.ErrUncertain) ||
				out.Applied {
				t.Errorf("Write = %+v, %v", out, err)
			}
		}},
		{"by writes together", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			errs := make(chan error, 10)
			for i := range cap(errs) {
				w := put(old, fmt.Sprint("k", i))
				w.Key = fmt.Sprint("k", i)
				go func() { _, err := core.Of(old).Write(t.Context(), w); errs <- err }()
			}
			for range cap(errs) {
				if err := <-errs; !errors.Is(err, session.ErrResumedElsewhere) {
					t.Errorf("Write = %v", err)
				}
			}
		}},
		{"by a transaction", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			_, err := old.Txn(t.Context(), gateway.Txn{Then: []gateway.Op{gateway.OpPut("k", nil)}})
			if !errors.Is(err, session.ErrResumedElsewhere) {
				t.Errorf("Txn = %v", err)
			}
		}},
		{"by asking", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			if err := core.Of(old).Verify(t.Context()); !errors.Is(err, session.ErrResumedElsewhere) {
				t.Errorf("Verify = %v", err)
			}
		}},
		{"when watches work again", func(t *testing.T, etcd *fakeetcd.Server, _ *session.Session) {
			t.Helper()
			etcd.BreakWatches(false)
			time.Sleep(5 * time.Second)
		}},
		{"after a compaction", func(t *testing.T, etcd *fakeetcd.Server, _ *session.Session) {
			t.Helper()
			etcd.Put("other", "")
			etcd.Compact()
			etcd.BreakWatches(false)
			time.Sleep(5 * time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				told := make(chan error, 1)
				old := open(t, etcd, &session.Options{Hooks: session.Hooks{Lost: func(err error) {
					told <- err
				}}})
				h := hold(t, old, "a")
				if tt.name != byWatch {
					etcd.BreakWatches(true)
				}
				s := resume(t, etcd, old.Lease(), nil)
				if alive := tt.name != byWatch; (old.Err() == nil) != alive {
					t.Errorf("before it could learn of it: %v", old.Err())
				}
				tt.learn(t, etcd, old)
				synctest.Wait()
				isTakenOver(t, etcd, old)
				if err := h.grip.Release(t.Context()); !errors.Is(err, session.ErrNotHeld) ||
					!errors.Is(err, session.ErrResumedElsewhere) {
					t.Errorf("Release of the earlier life = %v", err)
				}
				if err := <-told; !errors.Is(err, session.ErrResumedElsewhere) {
					t.Errorf("the hook was told %v", err)
				}
				if keys := etcd.Keys("k"); len(keys) != 0 || len(etcd.Keys("a")) != 1 {
					t.Errorf("the earlier life has written %v, or deleted", keys)
				}
				etcd.BreakWatches(false)
				time.Sleep(time.Minute)
				if err := s.Err(); err != nil {
					t.Error(err)
				}
				hold(t, s, "b")
			})
		})
	}
}

// TestResumeAndLateCopies: writes of the earlier process that are still under way are not applied
// any more.
func TestResumeAndLateCopies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		var copies []*fakeetcd.Call
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			copies = append(copies, c)
			return fakeetcd.Lost
		})
		taken := put(old, "k")
		taken.If = []gateway.Cmp{gateway.CmpCreateRevision("taken", gateway.Equal, 0)}
		etcd.Put("taken", "")
		for _, w := range []core.Write{put(old, "k"), taken} {
			_, err := core.Of(old).Write(within(t, time.Second), w)
			if !errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("Write = %v", err)
			}
		}
		old.Orphan()
		etcd.Script(nil)
		s := resume(t, etcd, old.Lease(), nil)
		before := etcd.Revision()
		txns := 0
		for _, c := range copies {
			if c.Path == "/kv/txn" {
				txns++
				c.Apply()
			}
		}
		synctest.Wait()
		if etcd.Revision() != before || s.Err() != nil || txns < 4 {
			t.Errorf("of %d copies some were applied: %v, %v", txns, etcd.Keys("k"), s.Err())
		}
	})
}

// TestResumeWhileTheEpochMoves: an earlier process that still runs writes between the read and the
// takeover.
func TestResumeWhileTheEpochMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		moves := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" && moves < 5 {
				moves++
				moveEpoch(etcd, old)
			}
			return c.Apply()
		})
		begin := time.Now()
		s := resume(t, etcd, old.Lease(), nil)
		if moves != 5 || time.Since(begin) == 0 {
			t.Errorf("%d moves in %v", moves, time.Since(begin))
		}
		isTakenOver(t, etcd, old)
		hold(t, s, "a")
	})
}

// TestResumeAtOnce: of several sessions that resume at the same moment one is left, in any order of
// their requests.
func TestResumeAtOnce(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{0, time.Millisecond, 15 * time.Millisecond, time.Second} {
		for _, lossy := range []bool{false, true} {
			t.Run(fmt.Sprint(apart, lossy), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					old := open(t, etcd, nil)
					old.Orphan()
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						c.Sleep(10 * time.Millisecond)
						answer := c.Apply()
						if lossy && c.Path == "/kv/txn" && c.N%2 == 0 {
							return fakeetcd.Lost
						}
						return answer
					})
					const n = 4
					type result struct {
						s   *session.Session
						err error
					}
					results := make(chan result, n)
					for i := range n {
						c := etcd.Client(t)
						go func() {
							time.Sleep(time.Duration(i) * apart)
							s, err := session.Resume(t.Context(), c, old.Lease(), nil)
							results <- result{s, err}
						}()
					}
					var made []*session.Session
					for range n {
						r := <-results
						if r.err == nil {
							made = append(made, r.s)
							closeLater(t, r.s)
						} else if !errors.Is(r.err, session.ErrResumedElsewhere) ||
							!errors.Is(r.err, session.ErrLost) {
							t.Errorf("Resume = %v", r.err)
						}
					}
					etcd.Script(nil)
					time.Sleep(time.Second)
					var left []*session.Session
					for _, s := range made {
						if s.Err() == nil {
							left = append(left, s)
						} else {
							isTakenOver(t, etcd, s)
						}
					}
					if len(left) != 1 {
						t.Fatalf("%d of %d are left", len(left), len(made))
					}
					time.Sleep(time.Minute)
					hold(t, left[0], "a")
				})
			})
		}
	}
}

// TestResumeOfNothing: Resume returns ErrLost when there is nothing to resume.
func TestResumeOfNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, etcd *fakeetcd.Server, old *session.Session)
	}{
		{"expired", func(_ *testing.T, _ *fakeetcd.Server, old *session.Session) {
			old.Orphan()
			time.Sleep(session.DefaultTTL)
		}},
		{"revoked", func(_ *testing.T, etcd *fakeetcd.Server, old *session.Session) {
			etcd.Revoke(old.Lease())
		}},
		{"closed", func(t *testing.T, _ *fakeetcd.Server, old *session.Session) {
			t.Helper()
			if err := old.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		{"no record", func(_ *testing.T, etcd *fakeetcd.Server, old *session.Session) {
			old.Orphan()
			etcd.Delete(record(old))
		}},
		{"record deleted meanwhile", func(_ *testing.T, etcd *fakeetcd.Server, old *session.Session) {
			old.Orphan()
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if c.Path == "/kv/txn" {
					etcd.Delete(record(old))
				}
				return c.Apply()
			})
		}},
		{"expired after the renewal", func(_ *testing.T, etcd *fakeetcd.Server, old *session.Session) {
			old.Orphan()
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				answer := c.Apply()
				if c.Path == "/lease/keepalive" {
					etcd.Revoke(old.Lease())
				}
				return answer
			})
		}},
		{"expired after the look", func(_ *testing.T, etcd *fakeetcd.Server, old *session.Session) {
			old.Orphan()
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				answer := c.Apply()
				if c.Path == "/kv/range" {
					etcd.Revoke(old.Lease())
				}
				return answer
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				old := open(t, etcd, nil)
				tt.end(t, etcd, old)
				_, err := session.Resume(t.Context(), etcd.Client(t), old.Lease(), nil)
				if !errors.Is(err, session.ErrLost) || !errors.Is(err, session.ErrRevoked) {
					t.Errorf("Resume = %v", err)
				}
				if _, ok := etcd.Get(record(old)); ok {
					t.Error("there is a record")
				}
			})
		})
	}
}

func TestResumeRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		c := etcd.Client(t)
		_, err := session.Resume(t.Context(), c, s.Lease(), &session.Options{RecordPrefix: "x"})
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("with a bad option: %v", err)
		}
		_, err = session.Resume(t.Context(), c, s.Lease(), &session.Options{RecordPrefix: "x/"})
		if !errors.Is(err, session.ErrLost) {
			t.Errorf("under another prefix: %v", err)
		}
		if _, err := session.Resume(t.Context(), c, 0, nil); !errors.Is(err, session.ErrLost) {
			t.Errorf("of no lease: %v", err)
		}
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		_, err = session.Resume(t.Context(), c, s.Lease(), nil)
		if !errors.Is(err, gateway.ErrPermissionDenied) || errors.Is(err, session.ErrLost) {
			t.Errorf("without rights: %v", err)
		}
		synctest.Wait()
		if err := s.Err(); err != nil || etcd.Leases() != 1 {
			t.Errorf("the session: %v, %d leases", err, etcd.Leases())
		}
	})
}

// TestResumeCutOff: a Resume whose context ended may be repeated.
func TestResumeCutOff(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/lease/keepalive", "/kv/range", "/kv/txn"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				old := open(t, etcd, nil)
				old.Orphan()
				var copies []*fakeetcd.Call
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path != path {
						return c.Apply()
					}
					copies = append(copies, c)
					return c.Silence()
				})
				_, err := session.Resume(within(t, 3*time.Second), etcd.Client(t), old.Lease(), nil)
				if !errors.Is(err, context.DeadlineExceeded) ||
					errors.Is(err, gateway.ErrUncertain) != (path == "/kv/txn") {
					t.Errorf("Resume = %v", err)
				}
				etcd.Script(nil)
				s := resume(t, etcd, old.Lease(), nil)
				before := etcd.Revision()
				for _, c := range copies {
					c.Apply()
				}
				synctest.Wait()
				if etcd.Revision() != before || s.Err() != nil || len(copies) < 2 {
					t.Errorf("after %d late copies: %v", len(copies), s.Err())
				}
			})
		})
	}
}

// TestSlowResume: a Resume that took longer than the lease is trusted fails, though the lease
// lives. It may be repeated.
func TestSlowResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil) // renews
		begin := time.Now()
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/txn" && time.Since(begin) < session.DefaultTTL {
				return c.Silence()
			}
			return c.Apply()
		})
		_, err := session.Resume(t.Context(), etcd.Client(t), old.Lease(), nil)
		if !errors.Is(err, session.ErrExpired) || !errors.Is(err, session.ErrLost) {
			t.Errorf("Resume = %v", err)
		}
		synctest.Wait()
		isTakenOver(t, etcd, old)
		hold(t, resume(t, etcd, old.Lease(), nil), "a")
	})
}

// TestCloseOfASleeper: a session that slept past its deadline does not revoke the lease if another
// process has resumed it. Otherwise it does.
func TestCloseOfASleeper(t *testing.T) {
	t.Parallel()
	for _, resumed := range []bool{true, false} {
		for lost := range 3 {
			t.Run(fmt.Sprint(resumed, lost), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					old := open(t, etcd, nil)
					hold(t, old, "a")
					etcd.BreakWatches(true)
					// the lease lives
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						c.Apply()
						return fakeetcd.Lost
					})
					<-old.Context().Done()
					etcd.Script(nil)
					etcd.BreakWatches(false)
					var s *session.Session
					if resumed {
						s = resume(t, etcd, old.Lease(), nil)
					}
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						answer := c.Apply()
						if c.N <= lost {
							return fakeetcd.Lost
						}
						return answer
					})
					if err := old.Close(t.Context()); err != nil || !errors.Is(old.Err(), session.ErrExpired) {
						t.Errorf("Close = %v, the session: %v", err, old.Err())
					}
					if left := len(etcd.Keys("a")) == 1 && etcd.Leases() == 1; left != resumed {
						t.Errorf("keys %v, %d leases", etcd.Keys("a"), etcd.Leases())
					}
					if resumed && s.Err() != nil {
						t.Error(s.Err())
					}
				})
			})
		}
	}
}

// TestCloseIsOneRequest: Close of a session that lives needs no other request than the revocation.
func TestCloseIsOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		calls := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { calls++; return c.Apply() })
		if err := s.Close(t.Context()); err != nil || calls != 1 {
			t.Errorf("Close = %v after %d requests", err, calls)
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

// TestSlotsOfLives: the keys of all processes of a session differ, and each key is adopted once.
func TestSlotsOfLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		lease := s.Lease()
		seen := map[string]bool{}
		var keys, others []string
		for _, id := range []string{lease.String() + "0", "1" + lease.String(), "x"} {
			others = append(others, "a/"+id, "a/"+id+"-1")
		}
		for life := range 3 {
			if got := core.Of(s).AdoptKeys("a/", append(others, keys...)); !slices.Equal(got, keys) {
				t.Errorf("life %d inherits %v, not %v", life, got, keys)
			}
			for range 300 {
				key, _, _ := core.Of(s).ReserveKey("a")
				if seen[key] || !strings.HasPrefix(key, "a/"+lease.String()) || strings.Count(key, "/") != 1 {
					t.Errorf("life %d: %s", life, key)
				}
				seen[key] = true
				keys = append(keys, key)
			}
			if got := core.Of(s).AdoptKeys("a/", keys); len(got) != 0 {
				t.Errorf("life %d inherits what it has: %v", life, got)
			}
			if got := core.Of(s).AdoptKeys("b/", keys); len(got) != 0 {
				t.Errorf("life %d inherits from elsewhere: %v", life, got)
			}
			s.Orphan()
			s = resume(t, etcd, lease, nil)
		}
	})
}

// TestLeft: OwnedByPredecessor holds for the keys that an earlier process has put, unless they were
// put again since, and for no others.
func TestLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		hold(t, old, "old")
		hold(t, old, "again")
		hold(t, open(t, etcd, nil), "theirs")
		etcd.Put("nobody's", "")
		old.Orphan()
		s := resume(t, etcd, old.Lease(), nil)
		hold(t, s, "new")
		etcd.Touch("again")
		for key, want := range map[string]bool{
			"old": true, "again": false, "new": false, "theirs": false, "nobody's": false, "none": false,
		} {
			resp, err := s.Client().Txn(t.Context(), gateway.Txn{If: core.Of(s).OwnedByPredecessor(key)})
			if err != nil || resp.Succeeded != want {
				t.Errorf("%s: %+v, %v", key, resp, err)
			}
		}
	})
}
