package mutex_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestStrangeMarker: a marker of the lock delay that this library does not write does not mean a
// clean end, so the next holder waits once, and replaces it.
func TestStrangeMarker(t *testing.T) {
	t.Parallel()
	const delay = 5 * time.Second
	for value, wait := range map[string]time.Duration{
		"": delay, " ": delay, "garbage": delay, "clean": delay, "clean:": delay, "clean:x": delay,
		"clean:0":  delay,
		"clean:-7": delay, "clean:+7": delay, "clean:07": delay, "clean:7 ": delay,
		"clean:99999999999999999999": delay,
		"Clean:7":                    delay, "held:7": delay, `{"clean":7}`: delay, "\xff\x00": delay, "clean:7": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			m := mutex.New(open(t, etcd), "a", &mutex.Options{LockDelay: delay})
			etcd.Put("holdfast/delay/a", value)
			var calls atomic.Int64
			etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
				if calls.Add(1) > 1000 {
					c.Sleep(time.Minute) // a spin must not stop the time
				}
				return c.Apply()
			})
			for _, want := range []time.Duration{wait, 0} {
				began := time.Now()
				lock, err := m.Lock(within(t, time.Minute))
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
