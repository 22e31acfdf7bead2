package line_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// veryFar is a number of members behind which a member is very far back.
const veryFar = 80

// ownFarDelay is the time after which such a member watches its own key.
const ownFarDelay = 30 * time.Second

// behindMany puts so many foreign members into the line, behind which the line has been joined
// once.
func behindMany(t *testing.T, etcd *fakeetcd.Server, l *line.Line) {
	t.Helper()
	joinBehindMany(t, etcd, l, line.Join{Exclusive: true})
}

func joinBehindMany(t *testing.T, etcd *fakeetcd.Server, l *line.Line, j line.Join) {
	t.Helper()
	for i := range veryFar {
		etcd.Put(fmt.Sprint("a/m", i), "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := goEnterAs(ctx, l, j)
	cancel()
	<-w.done
	synctest.Wait()
}

// TestALongLineIsJoinedAgainInOneRequest: a member that waits at rest behind many has sent nothing
// but its join.
func TestALongLineIsJoinedAgainInOneRequest(t *testing.T) {
	t.Parallel()
	never := func(line.Snapshot, line.Member) error { return nil }
	for name, j := range map[string]line.Join{
		"lock":      {Exclusive: true},
		"election":  {Abort: never, Yield: true, Notes: true, Most: 1},
		"semaphore": {Abort: never, AbortsBySettings: true, Notes: true, Lightest: "1", Most: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				var requests atomic.Int64
				l := counted(t, etcd, &requests)
				joinBehindMany(t, etcd, l, j)
				requests.Store(0)
				ctx, cancel := context.WithCancel(t.Context())
				w := goEnterAs(ctx, l, j)
				time.Sleep(time.Second)
				if n := requests.Load(); n != 1 || !w.waits() {
					t.Errorf("%d requests, %v", n, w.err)
				}
				cancel()
				<-w.done
			})
		})
	}
}

// TestMembersLeaveRightAfterAJoinFarBack: a member whose watches begin at its join misses nothing
// that happened before etcd created them, also if the events were compacted.
func TestMembersLeaveRightAfterAJoinFarBack(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"predecessor", "all others", "itself"} {
		for _, compact := range []bool{false, true} {
			t.Run(fmt.Sprint(who, compact), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					l := open(t, etcd)
					behindMany(t, etcd, l)
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						answer := c.Apply()
						if c.Path == "/kv/txn" {
							leave(etcd, l, who)
							if compact {
								etcd.Compact()
							}
							etcd.Script(nil)
						}
						return answer
					})
					w := goEnterAs(t.Context(), l, line.Join{Exclusive: true})
					time.Sleep(time.Second)
					if who == "predecessor" {
						if !w.waits() {
							t.Fatalf("Enter = %v", w.err)
						}
						leave(etcd, l, "all others")
					}
					var want error
					if who == "itself" {
						want = session.ErrKeyDeleted
						time.Sleep(ownFarDelay)
					}
					if w.waits() || !errors.Is(w.err, want) {
						t.Fatalf("Enter = %v, want %v", w.err, want)
					}
				})
			})
		}
	}
}

func leave(etcd *fakeetcd.Server, l *line.Line, who string) {
	switch who {
	case "predecessor":
		etcd.Delete(fmt.Sprint("a/m", veryFar-1))
	case "itself":
		etcd.Delete("a/" + l.Session.Lease().String())
	default:
		for i := range veryFar {
			etcd.Delete(fmt.Sprint("a/m", i))
		}
	}
}

// TestSubLinesHideThePredecessor: if the last two keys are not two members, the predecessor is
// read.
func TestSubLinesHideThePredecessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		behindMany(t, etcd, l)
		for i := range frontKeys {
			etcd.Put(fmt.Sprint("a/b/m", i), "")
		}
		w := goEnterAs(t.Context(), l, line.Join{Exclusive: true})
		if !w.waits() {
			t.Fatalf("Enter = %v", w.err)
		}
		leave(etcd, l, "all others")
		release(t, w.granted(t))
	})
}

// TestARepeatedJoinFindsMembersBehind: if the answer to a join is lost and others join before it is
// repeated, the last keys of the line are not the member and its predecessor.
func TestARepeatedJoinFindsMembersBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		behindMany(t, etcd, l)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			answer := c.Apply()
			if c.Path != "/kv/txn" {
				return answer
			}
			etcd.Script(nil)
			etcd.Put("a/late", "")
			etcd.Put("a/later", "")
			return fakeetcd.Lost
		})
		w := goEnterAs(t.Context(), l, line.Join{Exclusive: true})
		time.Sleep(10 * time.Second)
		if !w.waits() {
			t.Fatalf("Enter = %v", w.err)
		}
		leave(etcd, l, "all others")
		time.Sleep(time.Second)
		release(t, w.granted(t))
	})
}

// frontKeys is more keys than are read to find a predecessor.
const frontKeys = 10

// TestAJoinFarBackReadsNotTheMiddle: in a long line, a member that waits for a note reads a part of
// it that does not grow with the line.
func TestAJoinFarBackReadsNotTheMiddle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		behindMany(t, etcd, l)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if bytes.Contains(c.Body, []byte(`"max_create_revision"`)) &&
				!bytes.Contains(c.Body, []byte(`"limit"`)) {
				t.Errorf("a read of all of the line")
			}
			return c.Apply()
		})
		ctx, cancel := context.WithCancel(t.Context())
		w := goEnterAs(ctx, l, line.Join{Notes: true})
		time.Sleep(time.Second)
		if !w.waits() {
			t.Errorf("Enter = %v", w.err)
		}
		cancel()
		<-w.done
		etcd.Script(nil)
	})
}
