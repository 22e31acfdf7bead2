package core_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// TestOwnKeyIsLookedAtAgain: after a compaction the key is read until the read succeeds.
func TestOwnKeyIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		trouble func(t *testing.T, etcd *fakeetcd.Server, s *session.Session, key string)
		want    error
	}{
		{"key removed", func(_ *testing.T, etcd *fakeetcd.Server, _ *session.Session, key string) {
			etcd.Delete(key)
		}, session.ErrKeyDeleted},
		{"session taken over", func(t *testing.T, etcd *fakeetcd.Server, s *session.Session, _ string) {
			t.Helper()
			second, err := session.Resume(t.Context(), etcd.Client(t), s.Lease(), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(second.Orphan)
		}, session.ErrResumedElsewhere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				l, err := mutex.New(s, "a", nil).Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second) // then its key is watched
				etcd.BreakWatches(true)
				tt.trouble(t, etcd, s, l.Key())
				etcd.Put("other", "")
				etcd.Compact()
				refused, until := 0, time.Now().Add(8*time.Second)
				etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					if c.Path == "/kv/range" && time.Now().Before(until) {
						refused++
						return fakeetcd.Denied()
					}
					return c.Apply()
				})
				etcd.BreakWatches(false)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if err := l.Err(); !errors.Is(err, tt.want) || refused == 0 {
					t.Errorf("after %d refused looks: %v", refused, err)
				}
			})
		})
	}
}

// TestNobodyLooksAfterWhatIsGivenBack: the reads end with the hold.
func TestNobodyLooksAfterWhatIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l, err := mutex.New(open(t, etcd, nil), "a", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // then its key is watched
		etcd.BreakWatches(true)
		etcd.Put("other", "")
		etcd.Compact()
		looks := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if isReadOf(c, l.Key()) {
				looks++
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		etcd.BreakWatches(false)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		before := looks
		if err := l.Unlock(t.Context()); err != nil || before == 0 {
			t.Fatalf("%v, after %d looks", err, before)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if looks != before {
			t.Errorf("%d looks after the end", looks-before)
		}
	})
}

func TestOwnKeyIsWatched(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		remove func(etcd *fakeetcd.Server)
	}{
		{"deleted", func(etcd *fakeetcd.Server) { etcd.Delete("a") }},
		{"replaced", func(etcd *fakeetcd.Server) { etcd.Delete("a"); etcd.Put("a", "") }},
		{"deleted and compacted", func(etcd *fakeetcd.Server) {
			etcd.BreakWatches(true)
			etcd.Delete("a")
			etcd.Compact()
			time.Sleep(3 * time.Second)
			etcd.BreakWatches(false)
			time.Sleep(3 * time.Second)
		}},
		{"compacted, then deleted", func(etcd *fakeetcd.Server) {
			etcd.BreakWatches(true)
			etcd.Put("other", "")
			etcd.Compact()
			time.Sleep(3 * time.Second)
			etcd.BreakWatches(false)
			time.Sleep(3 * time.Second)
			etcd.Delete("a")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				h := hold(t, s, "a")
				time.Sleep(1500 * time.Millisecond)
				synctest.Wait()
				if err := h.Err(); err != nil || etcd.Watches() != 2 {
					t.Fatalf("Err = %v with %d watches", err, etcd.Watches())
				}
				tt.remove(etcd)
				synctest.Wait()
				if err := h.Err(); !errors.Is(err, session.ErrKeyDeleted) ||
					!errors.Is(context.Cause(h.Context()), session.ErrLost) {
					t.Errorf("Err = %v", err)
				}
				if err := s.Err(); err != nil {
					t.Errorf("the session has ended: %v", err)
				}
				if n := etcd.Watches(); n != 1 {
					t.Errorf("%d watches are left", n)
				}
			})
		})
	}
}

// TestOwnKeysAreWatchedInTime: the key of each hold is watched from an age of one second,
// independently of other holds.
func TestOwnKeysAreWatchedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		const step = 100 * time.Millisecond
		type life struct{ from, to int } // in steps
		lives := []life{{0, 30}, {3, 8}, {3, 30}, {4, 11}, {4, 5}, {5, 20}, {25, 30}, {28, 38}}
		holds := make([]held, len(lives))
		for now := range 40 {
			want := 1 // the record
			for i, l := range lives {
				switch {
				case now == l.from:
					holds[i] = hold(t, s, fmt.Sprint("key", i))
				case now == l.to:
					if err := holds[i].grip.Release(t.Context()); err != nil {
						t.Error(err)
					}
				case l.from+10 <= now && now < l.to:
					want++
				}
			}
			time.Sleep(step / 2)
			synctest.Wait()
			if n := etcd.Watches(); n != want {
				t.Errorf("%d watches after %d steps, want %d", n, now, want)
			}
			time.Sleep(step / 2)
		}
	})
}

// TestOwnWatchEnds: the watch also ends when a hold is lost with its session and never released.
func TestOwnWatchEnds(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"released", "session lost"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				s := open(t, etcd, nil)
				h := hold(t, s, "a")
				time.Sleep(2 * time.Second)
				if end == "released" {
					if err := h.grip.Release(t.Context()); err != nil {
						t.Error(err)
					}
				} else {
					etcd.Delete(record(s))
				}
				synctest.Wait()
				want := map[string]int{"released": 1, "session lost": 0}[end]
				if n := etcd.Watches(); n != want {
					t.Errorf("%d watches are left, want %d", n, want)
				}
			})
		})
	}
}

// watched returns a hold of the key "a" whose key is watched.
func watched(t *testing.T, s *session.Session) held {
	t.Helper()
	h := hold(t, s, "a")
	time.Sleep(2 * time.Second)
	return h
}

// compactWhileCut makes all watches miss a compaction. fn runs meanwhile.
func compactWhileCut(etcd *fakeetcd.Server, fn func()) {
	etcd.BreakWatches(true)
	synctest.Wait()
	etcd.Put("other", "")
	fn()
	etcd.Compact()
	etcd.BreakWatches(false)
	time.Sleep(3 * time.Second) // until the client has resumed its watches
}

// isReadOf reports whether a call reads a key.
func isReadOf(c *fakeetcd.Call, key string) bool {
	return c.Path == "/kv/range" && bytes.Contains(c.Body, base64Of(key))
}

// base64Of returns a key as it stands in the body of a request.
func base64Of(key string) []byte {
	return []byte(`"` + base64.StdEncoding.EncodeToString([]byte(key)) + `"`)
}

// TestOneEmptyReadEndsNoHold: a read that finds nothing is repeated before a hold ends.
func TestOneEmptyReadEndsNoHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := watched(t, s)
		reads := 0
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if isReadOf(c, "a") {
				reads++
				if reads == 1 { // as if the key did not exist
					c.Body = bytes.Replace(c.Body, base64Of("a"), base64Of("none"), 1)
				}
			}
			return c.Apply()
		})
		compactWhileCut(etcd, func() {})
		synctest.Wait()
		if err := h.Err(); err != nil || reads != 2 {
			t.Errorf("Err = %v after %d reads", err, reads)
		}
		etcd.Delete("a")
		synctest.Wait()
		if err := h.Err(); !errors.Is(err, session.ErrKeyDeleted) {
			t.Errorf("Err = %v", err)
		}
	})
}

// TestOwnKeyDeletedWhileReadsAreRefused: a deletion that the watch reports ends a hold at once,
// also while the read after a compaction has no answer.
func TestOwnKeyDeletedWhileReadsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		h := watched(t, s)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if isReadOf(c, "a") {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		compactWhileCut(etcd, func() {})
		if err := h.Err(); err != nil {
			t.Fatal(err)
		}
		etcd.Delete("a")
		synctest.Wait()
		if err := h.Err(); !errors.Is(err, session.ErrKeyDeleted) {
			t.Errorf("Err = %v", err)
		}
	})
}

// TestOwnWatchDenied: a canceled watch ends no hold. It is started again every few seconds, and
// then the key is read.
func TestOwnWatchDenied(t *testing.T) {
	t.Parallel()
	for _, remove := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			h := watched(t, s)
			reads := 0
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if isReadOf(c, "a") {
					reads++
				}
				return c.Apply()
			})
			etcd.DenyWatches(true)
			time.Sleep(time.Minute)
			if remove {
				etcd.Delete("a")
			}
			time.Sleep(time.Second)
			if err := errors.Join(h.Err(), s.Err()); err != nil || reads > 0 {
				t.Fatalf("without a watch: %v after %d reads", err, reads)
			}
			etcd.DenyWatches(false)
			time.Sleep(6 * time.Second)
			if err := h.Err(); errors.Is(err, session.ErrKeyDeleted) != remove || s.Err() != nil {
				t.Errorf("removed = %v: %v, %v", remove, err, s.Err())
			}
			if want := map[bool]int{false: 2, true: 1}[remove]; etcd.Watches() != want {
				t.Errorf("removed = %v: %d watches", remove, etcd.Watches())
			}
		})
	}
}

// TestAnIdleSessionIsQuiet: a session without holds has its stream asked for a sign of life every
// 30 s, and one with a hold every 2 s.
func TestAnIdleSessionIsQuiet(t *testing.T) {
	t.Parallel()
	for holds, most := range map[bool]int{false: 2, true: 31} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			s := open(t, etcd, nil)
			if holds {
				hold(t, s, "a")
			}
			time.Sleep(time.Minute)
			if n := etcd.ProgressRequests(); n > most || n < most/2 {
				t.Errorf("a hold: %v; %d progress requests in a minute", holds, n)
			}
		})
	}
}
