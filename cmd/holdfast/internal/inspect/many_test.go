package inspect

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestManyNamesTakeFewRequests: Many reads the members and the claims of 120 names with fewer
// requests than there are names.
func TestManyNamesTakeFewRequests(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	c := fakeetcd.Start(t).ClientSeen(t, func(*http.Request) { requests.Add(1) })
	lease, err := c.Grant(t.Context(), 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 120)
	for i := range names {
		names[i] = fmt.Sprintf("jobs/%03d", i)
		key := names[i] + "/" + lease.ID.String()
		if i%2 == 1 {
			key = claimPrefix(names[i]) + "9/0000000000000042"
		}
		if _, err := c.Put(t.Context(), key, nil, gateway.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
	}
	before := requests.Load()
	places, err := Many(t.Context(), c, names)
	if err != nil || len(places) != len(names) {
		t.Fatalf("%d names, %v", len(places), err)
	}
	if n := requests.Load() - before; n > 40 {
		t.Errorf("%d requests for %d names", n, len(names))
	}
	for i, p := range places {
		recipe := []string{Lock, Queue}[i%2]
		if p.Name != names[i] || p.Recipe != recipe || len(p.Members) != 1 {
			t.Errorf("%s: %+v", names[i], p)
		}
	}
}
