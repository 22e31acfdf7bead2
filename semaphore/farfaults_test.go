package semaphore_test

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/semaphore"
	"github.com/holdfast-go/holdfast/session"
)

// TestWaitersFarBackAreAdmitted compares the grants with the keys at etcd while random things
// happen: each member that the rule admits is granted its permit, and no other. HOLDFAST_LINE=long
// makes more runs. HOLDFAST_SEMAPHORE_SEED repeats the run of one seed.
func TestWaitersFarBackAreAdmitted(t *testing.T) {
	t.Parallel()
	seeds := 2
	if os.Getenv("HOLDFAST_LINE") == "long" {
		seeds = 100
	}
	again, err := strconv.ParseUint(os.Getenv("HOLDFAST_SEMAPHORE_SEED"), 10, 64)
	if err == nil {
		seeds = 1
	}
	for range seeds {
		seed := cmp.Or(again, rand.Uint64())
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			r := rand.New(rand.NewPCG(seed, 0))
			observer := semaphore.New(bubble.Session(t, etcd), "a", 3, nil)
			var all []*caller
			// The longer line is one in which a member joins without a read.
			lossy := r.IntN(2) == 0
			if lossy {
				lose(etcd, rand.New(rand.NewPCG(seed, 1)))
			}
			for range []int{40, 80}[seed%2] {
				all = append(all, call(t, etcd, 1+r.IntN(2), func(*http.Request) {}))
				if r.IntN(3) > 0 {
					synctest.Wait()
				}
			}
			pick := func() *caller { return all[r.IntN(min(len(all), 12))] }
			for len(all) > 0 {
				broken := false
				for range 1 + r.IntN(6) {
					what := r.IntN(14)
					if what == 3 && r.IntN(10) > 0 { // after a Resize, most follow the line
						continue
					}
					broken = broken || what == 4
					disturb(t, etcd, observer, what, r, pick())
				}
				if broken || lossy {
					etcd.Script(nil)
					etcd.BreakWatches(false)
					time.Sleep(30 * time.Second)
				}
				time.Sleep(time.Second)
				all = settle(t, observer, all, seed)
				if lossy = r.IntN(4) == 0; lossy {
					lose(etcd, rand.New(rand.NewPCG(seed, r.Uint64())))
				}
			}
		})
	}
}

// lose delays requests, loses answers, and applies transactions long after their callers have left.
func lose(etcd *fakeetcd.Server, random *rand.Rand) {
	var late []*fakeetcd.Call
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if strings.HasPrefix(c.Path, "/lease") {
			return c.Apply()
		}
		if random.IntN(3) == 0 {
			c.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
		}
		if len(late) > 0 && random.IntN(8) == 0 {
			late[0].Apply()
			late = late[1:]
		}
		switch dice := random.IntN(50); {
		case dice == 0 && c.Path == "/kv/txn":
			late = append(late, c)
			return fakeetcd.Lost
		case dice <= 2:
			c.Apply()
			return fakeetcd.Lost
		}
		return c.Apply()
	})
}

// mostUnits is the highest limit of the test.
const mostUnits = 5

// disturb changes the line, or breaks the watches of the waiters.
func disturb(
	t *testing.T, etcd *fakeetcd.Server, sem *semaphore.Semaphore, what int, r *rand.Rand,
	c *caller,
) {
	t.Helper()
	switch what {
	default:
		if c.granted() {
			if err := c.permit.Release(t.Context()); err != nil && !errors.Is(err, session.ErrNotHeld) {
				t.Error(err)
			}
		}
	case 0:
		c.cancel()
	case 1:
		etcd.Revoke(c.s.Lease())
	case 2:
		etcd.Delete("a/" + c.s.Lease().String())
	case 3:
		if err := sem.Resize(t.Context(), 1+r.IntN(mostUnits)); err != nil {
			t.Error(err)
		}
	case 4:
		etcd.BreakWatches(r.IntN(2) == 0)
	case 5:
		etcd.Compact()
	case 6:
		time.Sleep(time.Duration(r.IntN(int(2 * time.Second))))
	}
}

// settle compares the grants with the line, and returns the callers that are left in it.
func settle(
	t *testing.T, sem *semaphore.Semaphore, all []*caller, seed uint64,
) (left []*caller) {
	t.Helper()
	state, err := sem.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	members := map[gateway.LeaseID]semaphore.Member{}
	for _, m := range state.Members {
		members[m.Lease] = m
	}
	used := 0
	for i, c := range all {
		m, ok := members[c.s.Lease()]
		if !ok {
			continue
		}
		left = append(left, c)
		if c.granted() {
			used += m.Weight
		} else if m.Holder {
			t.Fatalf("seed %d: caller %d was not granted its permit: %v", seed, i, c.err)
		}
	}
	if used > mostUnits {
		t.Fatalf("seed %d: %d units are granted", seed, used)
	}
	return left
}
