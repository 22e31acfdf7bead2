package line_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// lengthen puts keys of another line below a name, so that all members of the name join very far
// back.
func lengthen(etcd *fakeetcd.Server, name string) {
	for i := range veryFar {
		etcd.Put(fmt.Sprint(name, "/far/", i), "")
	}
}

// asks counts how members find out that they are the first.
type asks struct {
	marked   int // by the mark of the predecessor
	unmarked int // in the answer to the question for a mark
}

// watch counts on, and answers with next if that is not nil.
func (a *asks) watch(etcd *fakeetcd.Server, next func(c *fakeetcd.Call) fakeetcd.Answer) {
	*a = asks{}
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		answer := c.Apply
		if next != nil {
			answer = func() fakeetcd.Answer { return next(c) }
		}
		got := answer()
		switch {
		case isQuestion(c) && bytes.Contains(got.Body, []byte(`"succeeded":true`)):
			a.marked++
		case isQuestion(c) && got.Body != nil:
			a.unmarked++
		}
		return got
	})
}

func isQuestion(c *fakeetcd.Call) bool {
	return c.IsTxn("/left") && !bytes.Contains(c.Body, []byte(`"request_put"`))
}

func isRelease(c *fakeetcd.Call) bool {
	return c.IsTxn("/left") && bytes.Contains(c.Body, []byte(`"request_delete_range"`))
}

// markOf returns the mark of the session of a line, or "" if there is none.
func markOf(etcd *fakeetcd.Server, l *line.Line) string {
	kv, _ := etcd.Get(markKey(l))
	return string(kv.Value)
}

func markKey(l *line.Line) string {
	return session.DefaultRecordPrefix + l.Session.Lease().String() + "/left"
}

func keyOf(l *line.Line) string { return l.Name + "/" + l.Session.Lease().String() }

// farLine is a line in which all members join very far back: one that holds, and those that wait
// one behind the other. Each has a session and a client of its own.
type farLine struct {
	*testing.T
	etcd  *fakeetcd.Server
	lines []*line.Line
	hold  line.Hold
	waits []*entering
	leave []context.CancelFunc
	asks  asks
}

// inFarLine runs test in a line with so many members that wait.
func inFarLine(t *testing.T, waiters int, test func(f *farLine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &farLine{T: t, etcd: fakeetcd.Start(t)}
		lengthen(f.etcd, "a")
		f.lines = append(f.lines, openEarly(t, f.etcd))
		f.hold = goEnterAs(t.Context(), f.lines[0], line.Join{Exclusive: true}).granted(t)
		for range waiters {
			f.join(t, openEarly(t, f.etcd))
		}
		time.Sleep(time.Second) // until all watch
		f.asks.watch(f.etcd, nil)
		test(f)
		f.etcd.Script(nil)
	})
}

func (f *farLine) join(t *testing.T, l *line.Line) *entering {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := goEnterAs(ctx, l, line.Join{Exclusive: true})
	f.lines, f.waits, f.leave = append(f.lines, l), append(f.waits, w), append(f.leave, cancel)
	return w
}

func (f *farLine) want(t *testing.T, want asks) {
	t.Helper()
	synctest.Wait()
	if f.asks != want {
		t.Errorf("%+v, want %+v", f.asks, want)
	}
}

// TestTheNextIsAdmittedByTheMark: in a long line each member finds out by one request that does not
// read the line that it is the first.
func TestTheNextIsAdmittedByTheMark(t *testing.T) {
	t.Parallel()
	inFarLine(t, 5, func(f *farLine) {
		t := f.T
		reads := 0
		f.asks.watch(f.etcd, func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/range" {
				reads++
			}
			return c.Apply()
		})
		for i, w := range f.waits {
			release(t, f.hold)
			want := fmt.Sprint(f.hold.Fence(), " ", keyOf(f.lines[i]))
			if got := markOf(f.etcd, f.lines[i]); got != want {
				t.Errorf("the mark is %q, not %q", got, want)
			}
			f.hold = w.granted(t)
			if f.want(t, asks{marked: i + 1}); reads > 0 {
				t.Errorf("%d reads", reads)
			}
		}
	})
}

// TestAMemberWithoutAMarkBeforeItReadsTheLine: the predecessor of the last member leaves without a
// mark. The member is admitted if it is the first, and not before.
func TestAMemberWithoutAMarkBeforeItReadsTheLine(t *testing.T) {
	t.Parallel()
	revoke := func(f *farLine) { f.etcd.Revoke(f.lines[2].Session.Lease()) }
	remove := func(f *farLine) { f.etcd.Delete(keyOf(f.lines[2])) }
	for name, tt := range map[string]struct {
		holds bool
		leave func(f *farLine)
	}{
		"gave up":                {false, func(f *farLine) { f.leave[1]() }},
		"waited and was revoked": {false, revoke},
		"waited and was deleted": {false, remove},
		"held and was revoked":   {true, revoke},
		"held and was deleted":   {true, remove},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFarLine(t, 3, func(f *farLine) {
				t := f.T
				if tt.holds {
					release(t, f.hold)
					release(t, f.waits[0].granted(t))
					f.waits[1].granted(t)
					f.asks.watch(f.etcd, nil)
				}
				tt.leave(f)
				f.want(t, asks{unmarked: 1})
				if got := markOf(f.etcd, f.lines[2]); got != "" {
					t.Errorf("there is the mark %q", got)
				}
				last := f.waits[2]
				if last.waits() == tt.holds {
					t.Fatalf("Enter = %v", last.err)
				}
				if !tt.holds {
					release(t, f.hold)
					release(t, f.waits[0].granted(t))
					last.granted(t)
				}
			})
		})
	}
}

// TestAForeignMemberLeavesNoMark: members of other libraries, with a lease in their key or without,
// leave while they wait and while they hold.
func TestAForeignMemberLeavesNoMark(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"a/6dd18b3364141523", "a/foreign"} {
		inFarLine(t, 0, func(f *farLine) {
			t := f.T
			f.etcd.Put("a/1f", "")
			f.etcd.Put(key, "")
			w := f.join(t, openEarly(t, f.etcd))
			time.Sleep(time.Second)
			f.etcd.Delete(key)
			if f.want(t, asks{unmarked: 1}); !w.waits() {
				t.Fatalf("Enter = %v", w.err)
			}
			release(t, f.hold)
			f.etcd.Delete("a/1f")
			w.granted(t)
			f.want(t, asks{unmarked: 2})
		})
	}
}

// TestAResumedSessionLeavesItsMark: the keys of a resumed session have another form.
func TestAResumedSessionLeavesItsMark(t *testing.T) {
	t.Parallel()
	inFarLine(t, 0, func(f *farLine) {
		t := f.T
		l := openEarly(t, f.etcd)
		l.Session.Orphan()
		s, err := session.Resume(t.Context(), f.etcd.Client(t), l.Session.Lease(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Orphan()
		w := f.join(t, &line.Line{Session: core.Of(s), Name: "a", Rule: line.Exclusive})
		last := f.join(t, openEarly(t, f.etcd))
		time.Sleep(time.Second)
		release(t, f.hold)
		release(t, w.granted(t))
		last.granted(t)
		f.want(t, asks{marked: 2})
	})
}

// TestAMarkOfAnEarlierHoldAdmitsNobody: a session that has left a mark, in this line or in another,
// waits again, and leaves the line without being admitted.
func TestAMarkOfAnEarlierHoldAdmitsNobody(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]bool{"of this line": false, "of another": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFarLine(t, 1, func(f *farLine) {
				t := f.T
				marked := f.lines[0]
				if other {
					lengthen(f.etcd, "b")
					b := *marked
					b.Name = "b"
					release(t, goEnterAs(t.Context(), &b, line.Join{Exclusive: true}).granted(t))
				} else {
					release(t, f.hold)
					f.waits[0].granted(t)
				}
				if markOf(f.etcd, marked) == "" {
					t.Fatal("no mark")
				}
				if other {
					marked = openEarly(t, f.etcd)
				}
				f.join(t, marked)
				f.join(t, openEarly(t, f.etcd))
				time.Sleep(time.Second)
				f.asks.watch(f.etcd, nil)
				f.leave[1]()
				f.want(t, asks{unmarked: 1})
				if w := f.waits[2]; !w.waits() {
					t.Errorf("Enter = %v", w.err)
				}
			})
		})
	}
}

// TestAMemberThatIsNearerDoesNotAskForAMark: in a shorter line nothing has changed.
func TestAMemberThatIsNearerDoesNotAskForAMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		for i := range veryFar / 2 {
			etcd.Put(fmt.Sprint("a/far/", i), "")
		}
		hold := goEnterAs(t.Context(), openEarly(t, etcd), line.Join{Exclusive: true}).granted(t)
		w := goEnterAs(t.Context(), openEarly(t, etcd), line.Join{Exclusive: true})
		time.Sleep(time.Second)
		var a asks
		a.watch(etcd, nil)
		release(t, hold)
		w.granted(t)
		if a != (asks{}) {
			t.Errorf("%+v", a)
		}
		etcd.Script(nil)
	})
}

// TestHoldsThatPutNoMark: a hold that was admitted at once, or by a copy of the line, a hold beside
// which others may be admitted, and one whose key may be passed on or is deleted later put no mark.
func TestHoldsThatPutNoMark(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		long  bool
		enter func(ctx context.Context, l *line.Line) (line.Hold, error)
	}{
		"short line": {false, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			return l.Enter(ctx, line.Join{Exclusive: true})
		}},
		"nearer": {false, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			for i := range 40 {
				if _, err := l.Session.Client().Put(ctx, fmt.Sprint("a/far/", i), nil); err != nil {
					return line.Hold{}, err
				}
			}
			return l.Enter(ctx, line.Join{Exclusive: true})
		}},
		"shared": {true, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			return l.Enter(ctx, line.Join{})
		}},
		"permit": {true, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			return l.Enter(ctx, line.Join{Notes: true})
		}},
		"delay": {true, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			return delayed(l, time.Second).Enter(ctx, line.Join{Exclusive: true})
		}},
		"deferred": {true, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			l.Defer = true
			return l.Enter(ctx, line.Join{Exclusive: true})
		}},
		"cached": {true, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			return l.EnterCached(ctx, line.Join{Exclusive: true})
		}},
		"try": {true, func(ctx context.Context, l *line.Line) (line.Hold, error) {
			return l.Try(ctx, line.Join{Exclusive: true})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				if tt.long {
					lengthen(etcd, "a")
				}
				l := openEarly(t, etcd)
				h, err := tt.enter(t.Context(), l)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second) // then a cached key is not passed on any more
				release(t, h)
				time.Sleep(5 * time.Second)
				for _, key := range etcd.Keys(session.DefaultRecordPrefix) {
					if strings.HasSuffix(key, "/left") {
						t.Error("there is", key)
					}
				}
			})
		})
	}
}
