package board

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// scene is a board beside sessions on an etcd in memory.
type scene struct {
	*testing.T
	etcd *fakeetcd.Server
	c    *gateway.Client
	b    *Board
}

func run(t *testing.T, prefix string, fn func(s *scene)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		b, err := Open(t.Context(), c, prefix)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		fn(&scene{t, etcd, c, b})
	})
}

func (s *scene) session(name string) *session.Session {
	s.Helper()
	ss, err := session.New(s.Context(), s.c, &session.Options{Name: name})
	s.check(err)
	s.Cleanup(func() { _ = ss.Close(context.Background()) })
	return ss
}

func (s *scene) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// name returns a name as it is shown, once all goroutines are idle.
func (s *scene) name(name string) *Name {
	s.Helper()
	synctest.Wait()
	all := s.b.Snapshot().Names
	i := slices.IndexFunc(all, func(n *Name) bool { return n.Name == name })
	if i < 0 {
		s.Fatalf("%s is not shown: %v", name, all)
	}
	return all[i]
}

// TestAHandOverIsShownWithItsTime: the next waiter is shown as the holder since the release, and
// the change is recorded.
func TestAHandOverIsShownWithItsTime(t *testing.T) {
	run(t, "jobs/", func(s *scene) {
		one, two := s.session("one"), s.session("two")
		first, err := mutex.New(one, "jobs/a", nil).Lock(s.Context())
		s.check(err)
		go func() { _, _ = mutex.New(two, "jobs/a", nil).Lock(s.Context()) }()
		n := s.name("jobs/a")
		if n.Recipe != inspect.Lock || n.Holding != 1 || n.Waiting != 1 ||
			n.Members[0].Session.Name != "one" {
			t.Fatalf("%+v", n)
		}
		time.Sleep(10 * time.Second)
		begun := time.Now()
		s.check(first.Unlock(s.Context()))
		n = s.name("jobs/a")
		if n.Holding != 1 || n.Waiting != 0 || n.Members[0].Session.Name != "two" ||
			!n.Members[0].Since.Equal(begun) {
			t.Errorf("%+v, began %v", n, begun)
		}
		if k := len(n.Turns); k < 2 || !n.Turns[k-1].Holds || n.Turns[k-2].Holds ||
			!strings.HasPrefix(n.Turns[k-1].Owner, "two (") {
			t.Errorf("turns: %+v", n.Turns)
		}
	})
}

// TestTheBoardIsWhatInspectReads: after random calls, the board has the same lines as a read of all
// leases.
func TestTheBoardIsWhatInspectReads(t *testing.T) {
	run(t, "", func(s *scene) {
		var sessions []*session.Session
		for i := range 4 {
			sessions = append(sessions, s.session(fmt.Sprint("s", i)))
		}
		for i := range 40 {
			ctx, cancel := context.WithTimeout(s.Context(), time.Duration(i)*time.Second)
			defer cancel()
			ss := sessions[i%4]
			go func() {
				switch i % 3 {
				case 0:
					_, _ = mutex.New(ss, fmt.Sprint("lock", i%5), nil).Lock(ctx)
				case 1:
					_, _ = mutex.NewRWMutex(ss, fmt.Sprint("rw", i%2), nil).RLock(ctx)
				case 2:
					_, _ = semaphore.New(ss, "gpus", 3, nil).Acquire(ctx, 1+i%2)
				}
			}()
		}
		for range 20 {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			want, err := inspect.All(s.Context(), s.c, inspect.User{}, "")
			s.check(err)
			text := func(p *inspect.Place) string {
				var out strings.Builder
				fmt.Fprint(&out, p.Recipe, " ", p.Name)
				for i := range p.Members {
					m := &p.Members[i]
					fmt.Fprint(&out, " ", m.Key, m.Fence, m.Value, m.Holds, m.Session.Name)
				}
				return out.String()
			}
			var got, wanted []string
			for _, n := range s.b.Snapshot().Names {
				if len(n.Members) > 0 {
					got = append(got, text(&n.Place))
				}
			}
			for i := range want.Places {
				wanted = append(wanted, text(&want.Places[i]))
			}
			if !slices.Equal(got, wanted) {
				t.Fatalf("shown:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
			}
		}
	})
}

// TestAQueueIsCountedAndItsDepthIsKept also for items from before the board, and after a
// compaction.
func TestAQueueIsCountedAndItsDepthIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := &scene{T: t, etcd: etcd, c: etcd.Client(t)}
		q := queue.New(s.session("producer"), "jobs/q", nil)
		put := func(n int) {
			t.Helper()
			for range n {
				_, err := q.Enqueue(t.Context(), []byte("<secret>"), nil)
				s.check(err)
			}
		}
		put(3)
		b, err := Open(t.Context(), s.c, "jobs/")
		s.check(err)
		defer b.Close()
		s.b = b
		time.Sleep(2 * time.Second)
		put(4)
		m, err := q.Receive(t.Context())
		s.check(err)
		n := s.name("jobs/q")
		if n.Queue == nil || n.Queue.Ready != 6 || n.Queue.Claimed != 1 || n.Queue.Enqueued != 7 {
			t.Fatalf("%+v", n.Queue)
		}
		time.Sleep(2 * time.Second)
		s.check(m.Reject(t.Context(), "bad"))
		etcd.Compact()
		time.Sleep(time.Minute)
		n = s.name("jobs/q")
		if n.Queue.Ready != 6 || n.Queue.Claimed != 0 || n.Queue.Dead != 1 {
			t.Errorf("%+v", n.Queue)
		}
		var depths []int64
		for _, d := range n.Queue.Depth {
			depths = append(depths, d.Items)
		}
		if !slices.Equal(depths, []int64{3, 7, 6}) {
			t.Errorf("depth over time: %v", depths)
		}
	})
}

// TestABrokenHoldIsShownWithItsReason in the records, and in the changes of holders.
func TestABrokenHoldIsShownWithItsReason(t *testing.T) {
	run(t, "jobs/", func(s *scene) {
		l, err := mutex.New(s.session("one"), "jobs/a", nil).Lock(s.Context())
		s.check(err)
		s.name("jobs/a")
		s.check(session.Break(s.Context(), s.c, l.Key(), l.Fence(), "on fire"))
		n := s.name("jobs/a")
		if len(n.Broken) != 1 || n.Broken[0].Reason != "on fire" || n.Holding != 0 {
			t.Errorf("%+v", n)
		}
		time.Sleep(2 * linger)
		synctest.Wait()
		if names := s.b.Snapshot().Names; len(names) != 0 {
			t.Errorf("a name without keys is shown for ever: %+v", names[0])
		}
	})
}

// TestASessionThatDoesNotRenewIsSuspect, and its holds are counted with those that wait behind.
func TestASessionThatDoesNotRenewIsSuspect(t *testing.T) {
	run(t, "", func(s *scene) {
		grant, err := s.c.Grant(s.Context(), 0, 20*time.Second)
		s.check(err)
		_, err = s.c.Put(s.Context(), "a/"+grant.ID.String(), nil, gateway.WithLease(grant.ID))
		s.check(err)
		alive := s.session("alive")
		go func() { _, _ = mutex.New(alive, "a", nil).Lock(s.Context()) }()
		for range 14 {
			time.Sleep(time.Second)
			s.b.Snapshot()
		}
		synctest.Wait()
		for _, is := range s.b.Snapshot().Sessions {
			dead := is.Lease == grant.ID
			if is.Suspect != dead || dead && (is.Holds != 1 || is.Blocks != 1) ||
				!dead && (is.Waits != 1 || is.Info == nil) {
				t.Errorf("%+v", is)
			}
		}
	})
}

// TestADetachedLockIsNotSuspect: nobody has to renew the lease of a detached lock.
func TestADetachedLockIsNotSuspect(t *testing.T) {
	run(t, "", func(s *scene) {
		owner := s.session("owner")
		lock, err := mutex.New(owner, "a", &mutex.Options{Detachable: true}).Lock(s.Context())
		s.check(err)
		_, err = lock.Detach(s.Context(), 20*time.Second)
		s.check(err)
		for range 14 {
			time.Sleep(time.Second)
			s.b.Snapshot()
		}
		synctest.Wait()
		i := slices.IndexFunc(s.b.Snapshot().Sessions, func(is *Session) bool { return is.Holds == 1 })
		if i < 0 || s.b.Snapshot().Sessions[i].Suspect {
			t.Errorf("%d of %+v", i, s.b.Snapshot().Sessions)
		}
	})
}

// TestNobodyLooksNobodyAsks: without snapshots, no request is sent.
func TestNobodyLooksNobodyAsks(t *testing.T) {
	run(t, "a", func(s *scene) {
		s.etcd.Put("a//size", "1")
		time.Sleep(2 * idle)
		requests := 0
		s.etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { requests++; return c.Apply() })
		time.Sleep(time.Minute)
		if requests > 0 {
			t.Errorf("%d requests", requests)
		}
	})
}

// TestAPictureThatCannotBeReadIsAProblem: when etcd refuses the names, although it answers, the
// picture is old, and says so until the names are read again.
func TestAPictureThatCannotBeReadIsAProblem(t *testing.T) {
	run(t, "a", func(s *scene) {
		s.etcd.Put("a//size", "1")
		s.name("a")
		s.etcd.DenyWatches(true)
		for range 5 {
			s.b.Snapshot() // somebody looks, so etcd is asked whether it answers
			time.Sleep(time.Second)
		}
		got := s.b.Snapshot()
		if !errors.Is(got.Problem, gateway.ErrPermissionDenied) ||
			time.Since(got.ProblemSince) < 4*time.Second {
			t.Errorf("refused: %v since %v", got.Problem, got.ProblemSince)
		}
		s.etcd.DenyWatches(false)
		time.Sleep(2 * longPause)
		s.etcd.Put("a//size", "2")
		if size := s.name("a").Settings["size"]; size != "2" || s.b.Snapshot().Problem != nil {
			t.Errorf("permitted: size %s, %v", size, s.b.Snapshot().Problem)
		}
	})
}

// TestDiffHasWhatChanged and nothing else.
func TestDiffHasWhatChanged(t *testing.T) {
	run(t, "a", func(s *scene) {
		one := s.session("one")
		for _, name := range []string{"a1", "a2", "a3"} {
			_, err := mutex.New(one, name, nil).Lock(s.Context())
			s.check(err)
		}
		synctest.Wait()
		before := s.b.Snapshot()
		two := s.session("two")
		go func() { _, _ = mutex.New(two, "a2", nil).Lock(s.Context()) }()
		_, err := s.b.Next(s.Context(), before)
		s.check(err)
		synctest.Wait()
		after := s.b.Snapshot()
		d := Diff(before, after)
		if len(d.Names) != 1 || d.Names[0].Name != "a2" || len(d.Gone) != 0 ||
			len(d.Sessions) != 2 || len(d.Ended) != 0 {
			t.Errorf("%+v", d)
		}
		d = Diff(after, before)
		if len(d.Names) != 1 || len(d.Ended) != 1 {
			t.Errorf("back: %+v", d)
		}
		ctx, cancel := context.WithTimeout(s.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := s.b.Next(ctx, s.b.Snapshot()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next without a change: %v", err)
		}
	})
}
