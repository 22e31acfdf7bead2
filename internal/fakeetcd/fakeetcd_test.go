package fakeetcd_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/internal/reexec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestABrokenStreamIsNoticedAtOnce checks that a client notices a broken or refused stream at once
// and resumes its watch within its own pauses.
func TestABrokenStreamIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		events := make(chan gateway.WatchResponse, 10)
		if _, err := etcd.Client(t).WatchFunc("a", func(r gateway.WatchResponse) {
			events <- r
		}); err != nil {
			t.Fatal(err)
		}
		if r := <-events; !r.Created {
			t.Fatalf("%+v", r)
		}
		etcd.BreakWatches(true)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if n := etcd.Watches(); n != 0 {
			t.Errorf("%d watches stand", n)
		}
		etcd.Put("a", "")
		etcd.BreakWatches(false)
		begin := time.Now()
		if r := <-events; len(r.Events) != 1 {
			t.Errorf("%+v", r)
		}
		if took := time.Since(begin); took > 500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAnEndlessTestShowsItsGoroutine checks that a test that hangs ends, and that the output shows
// its goroutine.
func TestAnEndlessTestShowsItsGoroutine(t *testing.T) {
	t.Parallel()
	cmd := reexec.Repeat(t, "-test.timeout=1m")
	if cmd == nil {
		synctest.Test(t, func(t *testing.T) {
			fakeetcd.Start(t)
			waitInVain()
		})
		return
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out),
		"TestAnEndlessTestShowsItsGoroutine waits for what does not come") ||
		!strings.Contains(string(out), "fakeetcd_test.waitInVain(") {
		t.Errorf("%v: %s", err, out)
	}
}

func waitInVain() {
	for range time.Tick(time.Second) {
	}
}
