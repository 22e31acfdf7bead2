package line_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/line"
)

func TestTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l, other := open(t, etcd), open(t, etcd)
		h, err := l.Try(t.Context(), line.Join{})
		if err != nil {
			t.Fatal(err)
		}
		rev := etcd.Revision()
		for _, l := range []*line.Line{l, other} {
			_, err := l.Try(t.Context(), line.Join{})
			occupied, ok := errors.AsType[*line.OccupiedError](err)
			if !ok || occupied.Snapshot.Members[0] != (line.Member{Key: h.Key(), Fence: h.Fence()}) {
				t.Errorf("Try = %v", err)
			}
		}
		if etcd.Revision() != rev {
			t.Error("it leaves a trace")
		}
		release(t, h)
		if h, err = other.Try(t.Context(), line.Join{}); err != nil {
			t.Fatal(err)
		}
		release(t, h)
	})
}

// TestTryWithSubLines checks that members and changes of the line "a/b" do not keep a Try out of
// the line "a".
func TestTryWithSubLines(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 8, 20} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/busy=%v", n, busy), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					l := open(t, etcd)
					for i := range n {
						etcd.Put(fmt.Sprintf("a/b/%d", i), "")
					}
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
						if busy {
							etcd.Put(fmt.Sprintf("a/b/new%d", c.N), "")
						}
						return c.Apply()
					})
					h, err := l.Try(t.Context(), line.Join{})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := l.Try(t.Context(), line.Join{}); !errors.As(err,
						new(*line.OccupiedError)) {
						t.Errorf("second = %v", err)
					}
					release(t, h)
					time.Sleep(time.Second)
					if keys := etcd.Keys("a/" + l.Session.Lease().String()); len(keys) != 0 {
						t.Errorf("left: %v", keys)
					}
				})
			})
		}
	}
}

func TestTryAfterLostAnswers(t *testing.T) {
	t.Parallel()
	for _, sub := range []bool{false, true} {
		for lost := 1; lost <= 3; lost++ {
			for _, applied := range []bool{false, true} {
				t.Run(fmt.Sprintf("sub=%v/%d/applied=%v", sub, lost, applied), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						etcd := fakeetcd.Start(t)
						l := open(t, etcd)
						if sub {
							etcd.Put("a/b/1", "")
						}
						var copies []*fakeetcd.Call
						etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
							if c.N != lost {
								return c.Apply()
							}
							copies = append(copies, c)
							if applied {
								c.Apply()
							}
							return fakeetcd.Lost
						})
						h, err := l.Try(t.Context(), line.Join{})
						if err != nil {
							t.Fatal(err)
						}
						if kv, _ := etcd.Get(h.Key()); kv.CreateRevision != h.Fence() {
							t.Errorf("fence %d, created at %d", h.Fence(), kv.CreateRevision)
						}
						release(t, h)
						for _, c := range copies {
							c.Apply()
						}
						if keys := etcd.Keys("a/" + l.Session.Lease().String()); len(keys) != 0 {
							t.Errorf("a ghost: %v", keys)
						}
					})
				})
			}
		}
	}
}

func TestTryCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := open(t, etcd)
		etcd.Freeze()
		_, err := l.Try(within(t, 500*time.Millisecond), line.Join{})
		if !errors.Is(err, gateway.ErrUncertain) {
			t.Errorf("Try = %v", err)
		}
		etcd.Thaw()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if keys := etcd.Keys("a/"); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

// TestTryRefused checks that Try returns a RefusedError in one request if the join's own comparison
// fails, with any other keys in the line.
func TestTryRefused(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		for _, others := range []int{0, 1, 20} {
			t.Run(fmt.Sprintf("whole=%v/%d", whole, others), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					etcd := fakeetcd.Start(t)
					l := open(t, etcd)
					for i := range others {
						etcd.Put(fmt.Sprintf("a/%d", i), "")
					}
					etcd.Put("a//limit", "3")
					rev, n := etcd.Revision(), 0
					etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer { n++; return c.Apply() })
					j := line.Join{
						If: []gateway.Cmp{
							gateway.CmpValue("a//limit", gateway.Equal, []byte("4")),
						},
						Else:    []gateway.Op{gateway.OpGet("a//limit")},
						ReadAll: whole,
					}
					_, err := l.Try(t.Context(), j)
					refused, ok := errors.AsType[*line.RefusedError](err)
					if !ok || string(refused.Responses[0].Get.KVs[0].Value) != "3" ||
						n != 1 || etcd.Revision() != rev {
						t.Fatalf("Try = %v after %d requests, revision %d after %d",
							err, n, etcd.Revision(), rev)
					}
					j.If[0] = gateway.CmpValue("a//limit", gateway.Equal, []byte("3"))
					h, err := l.Try(t.Context(), j)
					occupied, ok := errors.AsType[*line.OccupiedError](err)
					switch {
					case others == 0 && err == nil:
						release(t, h)
					case others > 0 && !ok:
						t.Errorf("Try = %v", err)
					case whole && others > 0 && (len(occupied.Snapshot.Members) != others ||
						occupied.Snapshot.Settings["limit"] != "3"):
						t.Errorf("seen: %+v", occupied.Snapshot)
					}
				})
			})
		}
	}
}

// TestTryAfterASetting checks that Try reads the line again if a setting changes between its read
// and its write.
func TestTryAfterASetting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := *open(t, etcd)
		l.Rule = func(v line.Snapshot) int { return min(len(v.Settings["limit"]), len(v.Members)) }
		etcd.Put("a//limit", "i")
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.N == 2 {
				etcd.Put("a//limit", "")
			}
			return c.Apply()
		})
		if _, err := l.Try(t.Context(), line.Join{}); !errors.As(err, new(*line.OccupiedError)) {
			t.Errorf("Try = %v", err)
		}
	})
}
