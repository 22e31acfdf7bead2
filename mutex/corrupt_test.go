package mutex_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestAStrangeMarkerIsNoCleanEnd: a marker of the lock delay that this library does not write does
// not mean a clean end, so the next holder waits once, and replaces it.
func TestAStrangeMarkerIsNoCleanEnd(t *testing.T) {
	t.Parallel()
	const delay = 5 * time.Second
	for value, wait := range map[string]time.Duration{
		"": delay, " ": delay, "garbage": delay, "clean": delay, "clean:": delay, "clean:x": delay,
		"clean:0":  delay,
		"clean:-7": delay, "clean:+7": delay, "clean:07": delay, "clean:7 ": delay,
		"clean:99999999999999999999": delay,
		"Clean:7":                    delay, "held:7": delay, `{"clean":7}`: delay,
		"\xff\x00": delay, "clean:7": 0,
	} {
		bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
			m := mutex.New(bubble.Session(t, etcd), "a", &mutex.Options{LockDelay: delay})
			etcd.Put("holdfast/delay/a", value)
			calls := bubble.Count(etcd)
			for _, want := range []time.Duration{wait, 0} {
				began := time.Now()
				lock, err := m.Lock(bubble.Within(t, time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < want || took > want+time.Second {
					t.Errorf("waited for %v at a marker of %q", took, value)
				}
				if err := lock.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if n := calls.Load(); n > 15 {
				t.Errorf("%d requests at a marker of %q", n, value)
			}
		})
	}
}
