package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAnOperationRunsAlone: Do sends an operation as the method of its kind does.
func TestAnOperationRunsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) { ok(w) })
		c := cl.client(t)
		for _, op := range []gateway.Op{
			gateway.OpGet("a"), gateway.OpPut("a", []byte("v")), gateway.OpDelete("a"),
			gateway.OpTxn(gateway.Txn{Then: []gateway.Op{}}),
		} {
			if _, err := c.Do(t.Context(), op); err != nil {
				t.Error(err)
			}
		}
		var paths []string
		for _, r := range cl.requests() {
			paths = append(paths, strings.TrimPrefix(r.URL.Path, "/v3/kv/"))
		}
		if want := []string{"range", "put", "deleterange", "txn"}; !slices.Equal(paths, want) {
			t.Errorf("%q", paths)
		}
		for _, op := range []gateway.Op{{}, gateway.OpGet("")} {
			if _, err := c.Do(t.Context(), op); !errors.Is(err, gateway.ErrInvalid) {
				t.Error(err)
			}
		}
	})
}

// TestAWatchThatItsContextEndsNamesTheEndpoint: the error has the endpoint and the last failure,
// before the watch was confirmed and after it.
func TestAWatchThatItsContextEndsNamesTheEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1, says(503, 14, "etcdserver: no leader"))
		c := cl.client(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.Watch(ctx, canaryKey)
		for _, is := range []error{context.DeadlineExceeded, gateway.ErrUnavailable} {
			if !errors.Is(err, is) {
				t.Errorf("%v is not %v", err, is)
			}
		}
		typed(t, err, "watch", cl.urls[0])
		if !strings.Contains(err.Error(), "(last attempt: ") ||
			!strings.Contains(err.Error(), "no leader") {
			t.Error(err)
		}
		noCanary(t, forms(err)...)
	})
}
