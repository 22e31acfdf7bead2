package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAWatchResumesAfterItsLastEvent: a watch resumes after the last event, with every way and
// place of breaking the stream.
func TestAWatchResumesAfterItsLastEvent(t *testing.T) {
	t.Parallel()
	noLeader36 := `{"error":{"code":14,"message":"etcdserver: no leader"}}` + "\n"
	noLeader34 := `{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader",` +
		`"http_status":"Service Unavailable"}}`
	half := events(1, kv("a", 8))
	for name, breakIt := range map[string]func(st *stream){
		"connection cut":    func(st *stream) { st.cut() },
		"end of the answer": func(st *stream) { st.finish() },
		"cut mid-line":      func(st *stream) { st.write(half[:len(half)/2]); st.cut() },
		"ended mid-line": func(st *stream) {
			st.write(half[:len(half)/2])
			st.finish()
		},
		"no leader, 3.6":             func(st *stream) { st.write(noLeader36); st.finish() },
		"no leader, 3.4, no newline": func(st *stream) { st.write(noLeader34); st.finish() },
		"no leader, 3.4, and cut":    func(st *stream) { st.write(noLeader34); st.cut() },
		"error and nothing more":     func(st *stream) { st.write(noLeader36); st.hungUp() },
		"junk line":                  func(st *stream) { st.write("<html>\n"); st.hungUp() },
		"empty object":               func(st *stream) { st.write("{}\n"); st.hungUp() },
		"events of the wrong type": func(st *stream) {
			st.write(line(9, `"watch_id":"1","events":7`))
			st.hungUp()
		},
		"base64 that is none": func(st *stream) {
			st.write(line(9, `"watch_id":"1","events":[{"kv":{"key":"%%"}}]`))
			st.hungUp()
		},
		"created that nobody ordered": func(st *stream) { st.write(created(99, 9)); st.hungUp() },
		"line without end":            func(st *stream) { endless(st); st.hungUp() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 2, nil)
				c := s.client(t)
				a, _ := watch(t, c, "a")
				st := s.next(t)
				id := st.accept("a", 0, 5)
				st.write(events(id, kv("a", 7)))
				a.want(t, "created 5", "a@7")
				breakIt(st)
				start := time.Now()
				st2 := s.next(t)
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("the next stream came after %v", took)
				}
				if st2.member == st.member {
					t.Error("the stream was opened at the same member")
				}
				id = st2.accept("a", 8, 9)
				st2.write(events(id, kv("a", 7), kv("a", 8)), events(id, kv("a", 9)))
				a.want(t, "created 5", "a@7", "a@8", "a@9")
			})
		})
	}
}

// TestAConfirmedStreamIsReplacedSoon: a stream that lasted for 80 ms is replaced at once, however
// often streams break. Streams that are confirmed and cut at once are replaced 12 times a second.
func TestAConfirmedStreamIsReplacedSoon(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		lasts    time.Duration
		min, max time.Duration // of the longest pause
	}{
		{"lasted", 80 * time.Millisecond, 0, 0},
		{"cut at once", 0, 80 * time.Millisecond, 80 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 2, nil)
				watch(t, s.client(t), "a")
				st := s.next(t)
				st.accept("a", 0, 5)
				var longest time.Duration
				for range 20 {
					time.Sleep(tt.lasts)
					st.cut()
					broke := time.Now()
					st = s.next(t)
					longest = max(longest, time.Since(broke))
					st.accept("a", 6, 5)
				}
				if longest < tt.min || longest > tt.max {
					t.Errorf("the longest pause was %v", longest)
				}
			})
		})
	}
}

// TestAWatchKeepsItsStartUntilItIsConfirmed: a watch from now on keeps that start until it is
// confirmed for the first time.
func TestAWatchKeepsItsStartUntilItIsConfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, nil)
		a, _ := watch(t, s.client(t), "a")
		st := s.next(t)
		st.create("a", 0)
		st.finish()
		st = s.next(t)
		id := st.accept("a", 0, 9)
		st.cut()
		st = s.next(t)
		id2 := st.accept("a", 10, 9) // no event arrived, so it resumes at the same place
		if id2 == id {
			t.Error("an ID was used twice")
		}
		a.want(t, "created 9") // once
	})
}

// TestHalfALineIsABrokenConnection: half a line means a broken connection, not a protocol error.
func TestHalfALineIsABrokenConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, _ := watch(t, s.client(t), "a")
		for _, breakIt := range []func(*stream){(*stream).cut, (*stream).finish} {
			st := s.next(t)
			id := st.create("a", 0)
			st.write(created(id, 5)[:40])
			breakIt(st)
			r.want(t)
		}
		s.next(t).accept("a", 0, 6)
		r.want(t, "created 6")
	})
}

// TestAStalledWatchResumesAtAnotherMember: after silence and an unanswered probe, the watches are
// resumed at another member.
func TestAStalledWatchResumesAtAnotherMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, nil)
		c := s.client(t, func(cfg *gateway.Config) { cfg.Namespace = "ns/" })
		a, _ := watch(t, c, "a")
		st := s.next(t)
		id := st.accept("ns/a", 0, 5)
		start := time.Now()

		probe := func(answer bool) {
			t.Helper()
			if m := st.read(); m.Progress == nil {
				t.Errorf("got %+v, want a progress request", m)
			}
			// A progress request may never be answered, but a watch is confirmed and cancelled.
			m := st.read()
			if m.Create == nil || !strings.HasPrefix(string(m.Create.Key), "ns/") {
				t.Fatalf("got %+v, want a create", m)
			}
			if m2 := st.read(); m2.Cancel == nil || m2.Cancel.ID != m.Create.ID {
				t.Errorf("got %+v, want a cancel", m2)
			}
			if answer {
				st.write(created(m.Create.ID, 5),
					line(5, `"watch_id":"%d","canceled":true`, m.Create.ID))
			}
		}
		for i := range 3 {
			probe(true)
			if at := time.Since(start); at != time.Duration(i+1)*2*time.Second {
				t.Errorf("probe %d came after %v", i, at)
			}
		}
		b, _ := watch(t, c, "b") // creates are matched in spite of the probes
		idB := st.accept("ns/b", 0, 5)
		b.want(t, "created 5")
		time.Sleep(1900 * time.Millisecond)
		st.write("\n"[:0], events(id, kv("ns/a", 6)))
		a.want(t, "created 5", "a@6")
		heard := time.Now()
		probe(false)
		if quiet := time.Since(heard); quiet != 2*time.Second {
			t.Errorf("probed after %v of silence", quiet)
		}
		st2 := s.next(t)
		if took := time.Since(heard); took < 4*time.Second || took > 4100*time.Millisecond {
			t.Errorf("given up after %v", took)
		}
		st.hungUp()
		if st2.member == st.member {
			t.Error("opened at the member that had stalled")
		}
		starts := map[string]int64{}
		for range 2 {
			m := <-st2.messages
			starts[string(m.Create.Key)] = m.Create.Start
		}
		if starts["ns/a"] != 7 || starts["ns/b"] != 6 {
			t.Errorf("resumed at %v", starts)
		}
		_ = idB
	})
}

// TestARefusedProbeIsAnAnswer: a user who may not read the probe's key still receives an answer to
// it.
func TestARefusedProbeIsAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, _ := watch(t, c, "a")
		st := s.next(t)
		st.accept("a", 0, 5)
		for range 3 {
			st.read()
		}
		st.write(refused(5, "PermissionDenied", "etcdserver: permission denied"))
		b, _ := watch(t, c, "b")
		st.accept("b", 0, 6)
		a.want(t, "created 5")
		b.want(t, "created 6")
	})
}

// TestAStreamThatDoesNotOpenMovesToAnotherMember: after an attempt's time without an answer the
// stream is opened at another member. A slow network gets more time.
func TestAStreamThatDoesNotOpenMovesToAnotherMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, nil)
		c := s.client(t)
		start := time.Now()
		_, _ = watch(t, c, "a")
		var opened []time.Duration
		for range 6 {
			s.next(t)
			opened = append(opened, time.Since(start).Round(time.Second))
		}
		if want := "[0s 1s 2s 4s 6s 10s]"; fmt.Sprint(opened) != want &&
			fmt.Sprint(opened) != "[0s 1s 2s 4s 6s 11s]" {
			t.Errorf("streams were opened after %v, want %s", opened, want)
		}
		start = time.Now()
		if err := c.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("Close took %v, %v", time.Since(start), err)
		}
	})
}

// TestAWatchIsMadeBesideABadEndpoint: a new watch is made at another endpoint, and fails if all are
// bad.
func TestAWatchIsMadeBesideABadEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 10 {
			s := newWatchServer(t, 1, nil)
			bad := newCluster(t, 1, text(404, "404 page not found"))
			s.net["bad:1"] = bad.net["m0:2379"]
			c := s.client(t, func(cfg *gateway.Config) {
				cfg.Endpoints = append([]string{"http://bad:1"}, s.urls...)
			})
			r, _ := watch(t, c, "a")
			s.next(t).accept("a", 0, 5)
			r.want(t, "created 5")
			_ = c.Close()
		}
		all := newCluster(t, 2, text(404, "404 page not found"))
		_, err := all.client(t).Watch(within(t, time.Minute), "a")
		wantErr(t, err, list(gateway.ErrProtocol), nil)
	})
}
