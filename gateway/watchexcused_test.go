package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestWatchExcusedCreate: while the answer to a create may be behind events that a busy stream has
// to deliver first, the client looks again now and then, and not all the time.
func TestWatchExcusedCreate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lasts = 15 * time.Second
		if n := gateway.StepsWhileExcused(t, lasts); n < 15 || n > 6*15 {
			t.Errorf("%d looks in %v", n, lasts)
		}
	})
}
