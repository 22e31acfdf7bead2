package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

func TestWatchOneStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, stopA := watch(t, c, "a")
		st := s.next(t)
		idA := st.accept("a", 0, 5)
		a.want(t, "created 5")

		b, _ := watch(t, c, "b/", gateway.Prefix(), gateway.AtRevision(3), gateway.PrevKV())
		m := st.read()
		if m.Create == nil || string(m.Create.End) != "b0" || m.Create.Start != 3 ||
			!m.Create.PrevKV || m.Create.ID == idA {
			t.Errorf("create request %+v", m.Create)
		}
		idB := m.Create.ID
		b.want(t)
		st.write(events(idA, kv("a", 6)), created(idB, 6), events(idB, kv("b/1", 3), kv("b/2", 4)),
			events(idA, kv("a", 7), kv("a", 8)))
		a.want(t, "created 5", "a@6", "a@7 a@8")
		b.want(t, "created 6", "b/1@3 b/2@4")

		stopA()
		stopA()
		if m := st.read(); m.Cancel == nil || m.Cancel.ID != idA {
			t.Errorf("got %+v, want a cancel", m)
		}
		st.write(events(idA, kv("a", 9)), line(9, `"watch_id":"%d","canceled":true`, idA),
			events(idB, kv("b/1", 9)))
		a.want(t, "created 5", "a@6", "a@7 a@8")
		b.want(t, "created 6", "b/1@3 b/2@4", "b/1@9")
		s.none(t)
	})
}

// TestWatchEvents: deletions, previous values, and messages cut into bytes or glued together.
func TestWatchEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, _ := watch(t, s.client(t, func(cfg *gateway.Config) { cfg.Namespace = "ns/" }), "k")
		st := s.next(t)
		id := st.accept("ns/k", 0, 5)
		for _, b := range []byte(events(id, kv("ns/k", 6))) {
			st.write(string(b))
		}
		st.write(line(8, `"watch_id":"%d","events":[{"type":"DELETE","kv":{"key":"%s","mod_revision":7},"prev_kv":%s}]`,
			id, b64("ns/k"), strings.TrimSuffix(strings.TrimPrefix(kv("ns/k", 6), `{"kv":`), "}")))
		r.want(t, "created 5", "k@6", "k@7")
		ev := r.got[2].Events[0]
		if !ev.Deleted || ev.KV.Key != "k" || ev.PrevKV == nil || ev.PrevKV.Key != "k" ||
			string(ev.PrevKV.Value) != "v" {
			t.Errorf("%+v", ev)
		}
	})
}

// TestWatchRefused: one watch among many receives an error, the others continue.
func TestWatchRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, _ := watch(t, c, "a")
		b, _ := watch(t, c, "b")
		d, _ := watch(t, c, "d")
		st := s.next(t)
		ids := map[string]int64{}
		var order []string
		for range 3 { // the order of the stream's first creates is random
			m := st.read()
			ids[string(m.Create.Key)] = m.Create.ID
			order = append(order, string(m.Create.Key))
		}
		for _, key := range order {
			if key == "b" {
				st.write(refused(5, "PermissionDenied", "etcdserver: permission denied"))
				continue
			}
			st.write(created(ids[key], 5))
		}
		st.write(events(ids["a"], kv("a", 6)), events(ids["d"], kv("d", 7)))
		a.want(t, "created 5", "a@6")
		b.want(t, "error")
		d.want(t, "created 5", "d@7")
		wantErr(t, b.err(), list(gateway.ErrPermissionDenied), list(gateway.ErrUnavailable))
		typed(t, b.err(), "watch", s.urls[0])
		s.none(t)
	})
}

func TestWatchCompacted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, _ := watch(t, c, "a", gateway.AtRevision(2))
		st := s.next(t)
		id := st.create("a", 2)
		st.write(created(id, 5), `{"result":{"header":{"cluster_id":"7"},"watch_id":"`+fmt.Sprint(id)+`","canceled":true,"compact_revision":"4"}}`+"\n")
		a.want(t, "created 5", "error")
		wantErr(t, a.err(), list(gateway.ErrCompacted), list(gateway.ErrUnavailable))
		st.hungUp() // it was the last watch
		s.none(t)

		b, _ := watch(t, c, "b")
		s.next(t).accept("b", 0, 6)
		b.want(t, "created 6")
	})
}

// TestWatchLastRefused: a stream without watches is closed, even if the server ended the last one.
func TestWatchLastRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, stop := watch(t, s.client(t), "a")
		st := s.next(t)
		st.create("a", 0)
		st.write(refused(5, "PermissionDenied", "etcdserver: permission denied"))
		st.hungUp()
		r.want(t, "error")
		stop()
		time.Sleep(time.Minute)
		s.none(t)
	})
}

// TestWatchLastStopped: no stream and no goroutine is left, and the next watch opens a new stream.
func TestWatchLastStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		for range 3 {
			r, stop := watch(t, c, "a")
			st := s.next(t)
			st.accept("a", 0, 5)
			r.want(t, "created 5")
			stop()
			st.hungUp()
		}
		// The same while there is no answer.
		_, stop := watch(t, c, "a")
		st := s.next(t)
		st.create("a", 0)
		stop()
		st.hungUp()
		time.Sleep(time.Minute)
		s.none(t)
	})
}

// TestWatchResumed: a watch resumes after the last event, with every way and place of breaking the
// stream.
func TestWatchResumed(t *testing.T) {
	t.Parallel()
	noLeader36 := `{"error":{"code":14,"message":"etcdserver: no leader"}}` + "\n"
	noLeader34 := `{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}}`
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

// TestWatchPauses: a stream that lasted is replaced soon, however often streams break. The pauses
// between short-lived streams grow.
func TestWatchPauses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		lasts    time.Duration
		min, max time.Duration // of the longest pause
	}{
		{"after a while", 100 * time.Millisecond, 0, 100 * time.Millisecond},
		{"at once", 0, 500 * time.Millisecond, 1500 * time.Millisecond},
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

func endless(st *stream) {
	st.write(`{"result":{"header":{"cluster_id":"`)
	for range 17 << 20 / (256 << 10) {
		st.write(strings.Repeat("7", 256<<10))
	}
}

// TestWatchLongLine: a message far longer than any buffer, up to the limit.
func TestWatchLongLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, _ := watch(t, s.client(t), "a")
		st := s.next(t)
		id := st.accept("a", 0, 5)
		st.write(line(6, `"watch_id":"%d","events":[{"kv":{"key":"YQ==","mod_revision":"6","value":"%s"}}]`, id, strings.Repeat("AAAA", 1<<20)))
		r.want(t, "created 5", "a@6")
		if n := len(r.got[1].Events[0].KV.Value); n != 3<<20 {
			t.Errorf("%d bytes", n)
		}
	})
}

// TestWatchNotYetConfirmed: a watch from now on keeps that start until it is confirmed for the
// first time.
func TestWatchNotYetConfirmed(t *testing.T) {
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

// TestWatchCutBeforeConfirmed: half a line means a broken connection, not a protocol error.
func TestWatchCutBeforeConfirmed(t *testing.T) {
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

// TestWatchFragments: a revision is delivered complete. A stream that breaks inside it loses and
// repeats nothing.
func TestWatchFragments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, nil)
		a, _ := watch(t, s.client(t), "a", gateway.Prefix())
		st := s.next(t)
		id := st.accept("a", 0, 5)
		st.write(fragment(id, kv("a1", 6), kv("a2", 7)))
		a.want(t, "created 5", "a1@6")
		st.write(fragment(id, kv("a3", 7)))
		a.want(t, "created 5", "a1@6")
		st.write(events(id, kv("a4", 7), kv("a1", 8)))
		a.want(t, "created 5", "a1@6", "a2@7 a3@7 a4@7 a1@8")
		st.write(fragment(id, kv("a1", 9), kv("a2", 9)), fragment(id, kv("a3", 9)))
		a.want(t, "created 5", "a1@6", "a2@7 a3@7 a4@7 a1@8")
		st.cut()

		st = s.next(t)
		id = st.accept("a", 9, 9)
		st.write(fragment(id, kv("a1", 9), kv("a2", 9)), events(id, kv("a3", 9)))
		a.want(t, "created 5", "a1@6", "a2@7 a3@7 a4@7 a1@8", "a1@9 a2@9 a3@9")
	})
}

// TestWatchProgress: progress moves the revision at which a watch resumes, on servers that send it
// in order.
func TestWatchProgress(t *testing.T) {
	t.Parallel()
	for version, counts := range map[string]bool{
		"3.4.23": false, "3.4.24": false, "3.4.25": true, "3.4.45": true, "3.5.7": false,
		"3.5.8": true, "3.5.35": true,
		"3.6.0": true, "3.6.0-rc.4": true, "3.7.3": true, "4.0.0": true, "2.3.8": false,
		"3.3.99": false, "": false, "junk": false,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 1, nil)
				s.version = version
				c := s.client(t)
				_, _ = watch(t, c, "a")
				st := s.next(t)
				id := st.accept("a", 0, 5)
				st.write(progress(20)) // asks for the version
				synctest.Wait()
				st.write(progress(30))
				future, _ := watch(t, c, "z", gateway.AtRevision(100))
				z := st.create("z", 100)
				st.write(created(z, 30), progress(40))
				future.want(t, "created 30")
				st.cut()
				st = s.next(t)
				starts := map[string]int64{}
				for range 2 {
					m := st.read()
					starts[string(m.Create.Key)] = m.Create.Start
				}
				if want := map[bool]int64{true: 41, false: 6}[counts]; starts["a"] != want ||
					starts["z"] != 100 {
					t.Errorf("resumed at %v, want a at %d and z at 100", starts, want)
				}
				_ = id
			})
		})
	}
}

// TestWatchProgressWithinFragments: progress does not skip an incomplete revision, or a watch that
// is not confirmed.
func TestWatchProgressWithinFragments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		_, _ = watch(t, c, "a", gateway.Prefix())
		st := s.next(t)
		id := st.accept("a", 0, 5)
		st.write(progress(5))
		synctest.Wait()
		_, _ = watch(t, c, "b", gateway.AtRevision(2))
		st.create("b", 2)
		st.write(fragment(id, kv("a1", 9), kv("a2", 9)), progress(20))
		synctest.Wait()
		st.cut()
		st = s.next(t)
		for range 2 {
			if m := st.read(); m.Create.Start != map[string]int64{
				"a": 6,
				"b": 2,
			}[string(m.Create.Key)] {
				t.Errorf("%s resumed at %d", m.Create.Key, m.Create.Start)
			}
		}
	})
}

// TestWatchStalled: after silence and an unanswered probe, the watches are resumed at another
// member.
func TestWatchStalled(t *testing.T) {
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

// TestWatchRefusedProbe: a user who may not read the probe's key still receives an answer to it.
func TestWatchRefusedProbe(t *testing.T) {
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

// TestWatchUnansweredOpening: after an attempt's time without an answer the stream is opened at
// another member. A slow network gets more time.
func TestWatchUnansweredOpening(t *testing.T) {
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

// TestWatchOneBadEndpoint: a new watch is made at another endpoint, and fails if all are bad.
func TestWatchOneBadEndpoint(t *testing.T) {
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

// TestWatchExpiredToken: a create that is rejected for an old token is repeated on a new stream
// with a new token, and no event is lost or repeated.
func TestWatchExpiredToken(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]string{
		"expired": refused(7, "Unauthenticated", "etcdserver: invalid auth token"),
		"old revision": refused(7, "InvalidArgument",
			"etcdserver: revision of auth store is old"),
		"no user at all": refused(7, "InvalidArgument", "etcdserver: user name is empty"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				logins := 0
				s := newWatchServer(t, 1, func(w http.ResponseWriter, _ request) {
					logins++
					answer(w, 200,
						fmt.Sprintf(`{"header":{"cluster_id":"7"},"token":"token.%d"}`, logins))
				})
				c := s.client(t, withUser)
				a, _ := watch(t, c, "a")
				st := s.next(t)
				if got := st.Header.Get("Authorization"); got != "token.1" {
					t.Errorf("token %q", got)
				}
				id := st.accept("a", 0, 5)
				st.write(events(id, kv("a", 6)))
				b, _ := watch(t, c, "b")
				st.create("b", 0)
				st.write(refusal)
				st = s.next(t)
				if got := st.Header.Get("Authorization"); got != "token.2" {
					t.Errorf("token %q", got)
				}
				for range 2 {
					m := st.read()
					if m.Create.Start != map[string]int64{"a": 7, "b": 0}[string(m.Create.Key)] {
						t.Errorf("%s resumed at %d", m.Create.Key, m.Create.Start)
					}
					st.write(created(m.Create.ID, 8))
					if string(m.Create.Key) == "a" {
						st.write(events(m.Create.ID, kv("a", 8)))
					}
				}
				a.want(t, "created 5", "a@6", "a@8")
				b.want(t, "created 8")
			})
		})
	}
}

// TestWatchUnauthenticated: without credentials, or with wrong ones, a new watch fails.
func TestWatchUnauthenticated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1,
			says(400, 3, "etcdserver: authentication failed, invalid user ID or password"))
		_, err := s.client(t, withUser).Watch(within(t, time.Minute), "a")
		wantErr(t, err, list(gateway.ErrUnauthenticated), nil)
		noCanary(t, forms(err)...)

		r, _ := watch(t, s.client(t), "a")
		st := s.next(t)
		st.create("a", 0)
		st.write(refused(5, "InvalidArgument", "etcdserver: user name is empty"))
		r.want(t, "error")
		wantErr(t, r.err(), list(gateway.ErrUnauthenticated), nil)
	})
}

func TestWatchStopInside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		other, _ := watch(t, c, "other")
		st := s.next(t)
		idOther := st.accept("other", 0, 5)
		calls := 0
		var stop func()
		stop, err := c.WatchFunc("a", func(gateway.WatchResponse) {
			if calls++; calls == 2 {
				stop()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		id := st.accept("a", 0, 5)
		st.write(events(id, kv("a", 6)), events(id, kv("a", 7)), events(idOther, kv("other", 8)))
		other.want(t, "created 5", "other@8")
		if calls != 2 {
			t.Errorf("%d calls, want none after stop", calls)
		}
	})
}

func TestWatchClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, stop := watch(t, c, "a")
		st := s.next(t)
		st.accept("a", 0, 5)
		a.want(t, "created 5")
		b, _ := watch(t, c, "b") // not confirmed
		st.create("b", 0)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		a.want(t, "created 5", "error")
		b.want(t, "error")
		wantErr(t, a.err(), list(gateway.ErrClosed), nil)
		stop()
		_, err := c.WatchFunc("a", a.take)
		wantErr(t, err, list(gateway.ErrClosed), nil)
	})
}

// TestWatchOtherCluster: responses of another cluster are not delivered.
func TestWatchOtherCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, func(w http.ResponseWriter, _ request) {
			answer(w, 200, `{"header":{"cluster_id":"8","revision":"5"}}`)
		})
		c := s.client(t)
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Fatal(err)
		}
		r, _ := watch(t, c, "a")
		st := s.next(t)
		id := st.create("a", 0)
		st.write(created(id, 5))
		r.want(t, "error")
		wantErr(t, r.err(), list(gateway.ErrClusterMismatch), nil)
	})
}

func TestWatchInvalid(t *testing.T) {
	t.Parallel()
	c := newClient(t, gateway.Config{Endpoints: []string{"http://a:1"}})
	for _, tt := range []struct {
		key  string
		opts []gateway.Option
	}{
		{"", nil},
		{"a", []gateway.Option{gateway.AtRevision(-1)}},
		{"b", []gateway.Option{gateway.Range("a")}},
		{"b", []gateway.Option{gateway.Limit(1)}},
	} {
		_, err := c.WatchFunc(tt.key, func(gateway.WatchResponse) {}, tt.opts...)
		wantErr(t, err, list(gateway.ErrInvalid), nil)
		_, err = c.Watch(t.Context(), tt.key, tt.opts...)
		wantErr(t, err, list(gateway.ErrInvalid), nil)
	}
}
