package gateway_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestALateCompactionDoesNotBlockClose: the late report of a watch that ended as compacted at once
// comes with no other at the same time, and Close waits for it.
func TestALateCompactionDoesNotBlockClose(t *testing.T) {
	t.Parallel()
	for _, watches := range []int{1, 2} {
		t.Run(fmt.Sprint(watches), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 1, nil)
				c := s.client(t)
				var reports, ends atomic.Int32
				take := func(r gateway.WatchResponse) {
					if reports.Add(1) > 1 {
						t.Error("two reports at once")
					}
					if r.Err != nil {
						ends.Add(1)
						time.Sleep(time.Minute)
					}
					reports.Add(-1)
				}
				for i := range watches {
					if _, err := c.WatchFunc(fmt.Sprint(i), take); err != nil {
						t.Fatal(err)
					}
				}
				st := s.next(t)
				var last int64
				for range watches { // in any order
					last = st.read().Create.ID
					st.write(created(last, 5))
				}
				st.write(line(9, `"watch_id":"%d","canceled":true,"compact_revision":"8"`, last))
				time.Sleep(time.Second + time.Millisecond)
				if n := ends.Load(); n != 1 {
					t.Errorf("%d ends were reported", n)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if n := reports.Load(); n != 0 {
					t.Error("Close has returned before a report has")
				}
				if n := ends.Load(); int(n) != watches {
					t.Errorf("%d ends of %d were reported", n, watches)
				}
				time.Sleep(time.Hour)
			})
		})
	}
}
