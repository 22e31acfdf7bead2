package gateway

import (
	"testing"
	"time"
	"unsafe"

	"github.com/holdfast-go/holdfast/internal/clock"
)

// TestAStepOfTheWallClockIsNoSleep: a step of the wall clock after a grant was sent does not count
// as a sleep.
func TestAStepOfTheWallClockIsNoSleep(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		sent := clock.Now()
		// With a monotonic reading the first word of a Time has the wall seconds above 30 bits of
		// nanoseconds.
		*(*uint64)(unsafe.Pointer(&sent.Time)) -= uint64(by/time.Second) << 30
		if age := (LeaseGrant{}).at(sent).Age(); age < 0 || age > time.Minute {
			t.Errorf("by %v: %v old", by, age)
		}
	}
}
