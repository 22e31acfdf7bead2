package bubble_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestASessionLivesUntilTheEndOfTheTest(t *testing.T) {
	t.Parallel()
	var etcd *fakeetcd.Server
	bubble.Run(t, func(t *testing.T, own *fakeetcd.Server) {
		etcd = own
		s := bubble.Session(t, etcd)
		time.Sleep(time.Minute) // longer than its lease lives without renewals
		if err := s.Err(); err != nil || etcd.Leases() != 1 {
			t.Errorf("the session is %v, with %d leases", err, etcd.Leases())
		}
	})
	if n := etcd.Leases(); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}

func TestRequestsAreCountedAndALoopOfThemEnds(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		c := etcd.Client(t)
		requests := bubble.Count(etcd)
		ctx := bubble.Within(t, 10*time.Second)
		var err error
		for err == nil {
			_, err = c.Get(ctx, "a")
		}
		if n := requests.Load(); n < 1000 || n > 1100 || !errors.Is(err, ctx.Err()) {
			t.Errorf("%v after %d requests", err, n)
		}
	})
}
