package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestAQueuedConfirmationIsNoReasonToLeaveAStream: while the confirmation of a watch may be queued
// behind events on a busy stream, the client checks from time to time, not continuously.
func TestAQueuedConfirmationIsNoReasonToLeaveAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lasts = 15 * time.Second
		if n := gateway.StepsWhileExcused(t, lasts); n < 15 || n > 6*15 {
			t.Errorf("%d looks in %v", n, lasts)
		}
	})
}
