package gateway_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
)

// TestLeasesAreRenewedSoonAfterASleep: leases are renewed within a second after the machine slept,
// and the time of the sleep counts. The test is not parallel, because it changes the clock of the
// whole process.
func TestLeasesAreRenewedSoonAfterASleep(t *testing.T) { //nolint:paralleltest // see above
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) { renewAll(t, w, r, 15) })
		c := cl.client(t)
		granted := time.Now()
		g, stop := keep(c, 1, 15*time.Second)
		defer stop()
		time.Sleep(5500 * time.Millisecond) // renewed once, after 5 s
		first := g.last()
		clock.Sleep(12 * time.Second)
		if age := first.Age(); age.Round(time.Second/10) != 12*time.Second+500*time.Millisecond {
			t.Errorf("the grant is %v old", age)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := g.last().Sent.Sub(granted); got <= 5*time.Second || got > 6500*time.Millisecond {
			t.Errorf("last renewed %v after the start", got)
		}
		if n := len(cl.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
		if age := (gateway.LeaseGrant{Sent: time.Now().Add(-time.Second)}).Age(); age != time.Second {
			t.Errorf("a grant that comes from elsewhere is %v old", age)
		}
	})
}
