package line_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// TestAMarkThatWasReplaced: a session releases two lines before the next member of the first has
// asked for its mark.
func TestAMarkThatWasReplaced(t *testing.T) {
	t.Parallel()
	inFarLine(t, 1, func(f *farLine) {
		t := f.T
		lengthen(f.etcd, "b")
		b := *f.lines[0]
		b.Name = "b"
		other := goEnterAs(t.Context(), &b, line.Join{Exclusive: true}).granted(t)
		f.asks.watch(f.etcd, func(c *fakeetcd.Call) fakeetcd.Answer {
			if isQuestion(c) {
				c.Sleep(50 * time.Millisecond)
			}
			return c.Apply()
		})
		release(t, f.hold)
		release(t, other)
		if <-f.waits[0].done; f.asks.marked > 0 || f.asks.unmarked == 0 {
			t.Errorf("%+v", f.asks)
		}
		if err := f.waits[0].err; err != nil {
			t.Errorf("Enter = %v", err)
		}
	})
}

// TestAMarkAdmitsNoMemberThatWasRemoved: a member far back does not watch its own key at first, and
// so learns of its removal from the answer to its question.
func TestAMarkAdmitsNoMemberThatWasRemoved(t *testing.T) {
	t.Parallel()
	inFarLine(t, 1, func(f *farLine) {
		t := f.T
		f.etcd.Delete(keyOf(f.lines[1]))
		release(t, f.hold)
		<-f.waits[0].done
		if err := f.waits[0].err; !errors.Is(err, session.ErrKeyDeleted) {
			t.Errorf("Enter = %v", err)
		}
		f.want(t, asks{unmarked: 1})
	})
}

// TestAReleaseWithAMarkWhoseAnswerIsLost: the release is repeated, the mark is put once, and a late
// copy of the release changes nothing.
func TestAReleaseWithAMarkWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprint("applied ", applied, ", cut off ", cut), func(t *testing.T) {
				t.Parallel()
				inFarLine(t, 1, func(f *farLine) {
					t := f.T
					var late *fakeetcd.Call
					f.asks.watch(f.etcd, func(c *fakeetcd.Call) fakeetcd.Answer {
						if late != nil || !isRelease(c) {
							return c.Apply()
						}
						if late = c; applied {
							c.Apply()
						}
						return fakeetcd.Lost
					})
					ctx := t.Context()
					if cut {
						ctx = within(t, time.Millisecond)
					}
					err := f.hold.Grip.Release(ctx)
					if err != nil && (!cut || !errors.Is(err, gateway.ErrUncertain)) {
						t.Errorf("Release = %v", err)
					}
					time.Sleep(time.Second)
					f.waits[0].granted(t)
					f.want(t, asks{marked: 1})
					again := f.join(t, f.lines[0]) // with the same key
					keys, mark := f.etcd.Keys("a/"), markOf(f.etcd, f.lines[0])
					f.etcd.Script(func(*fakeetcd.Call) fakeetcd.Answer { return late.Apply() })
					_, _ = f.lines[1].Session.Client().Get(t.Context(), "any")
					f.etcd.Script(nil)
					if now := f.etcd.Keys("a/"); len(now) != len(keys) || !again.waits() ||
						markOf(f.etcd, f.lines[0]) != mark {
						t.Errorf("a late copy was applied: %d keys, then %d", len(keys), len(now))
					}
				})
			})
		}
	}
}

// TestAQuestionWhoseAnswerIsLostIsRepeated: the member is admitted by the second answer.
func TestAQuestionWhoseAnswerIsLostIsRepeated(t *testing.T) {
	t.Parallel()
	inFarLine(t, 1, func(f *farLine) {
		t := f.T
		lost := 0
		f.asks.watch(f.etcd, func(c *fakeetcd.Call) fakeetcd.Answer {
			if isQuestion(c) && lost < 2 {
				lost++
				return fakeetcd.Lost
			}
			return c.Apply()
		})
		release(t, f.hold)
		<-f.waits[0].done
		if f.want(t, asks{marked: 1}); f.waits[0].err != nil || lost != 2 {
			t.Errorf("Enter = %v after %d answers were lost", f.waits[0].err, lost)
		}
	})
}

// TestAFullDatabaseHasNoMarks: a release works in a full database, without its mark.
func TestAFullDatabaseHasNoMarks(t *testing.T) {
	t.Parallel()
	inFarLine(t, 1, func(f *farLine) {
		t := f.T
		f.etcd.Fill(true)
		release(t, f.hold)
		f.waits[0].granted(t)
		f.want(t, asks{unmarked: 1})
	})
}
