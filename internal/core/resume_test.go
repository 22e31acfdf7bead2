package core_test

import (
	"context"
	"encoding/json"
	"errors"
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
