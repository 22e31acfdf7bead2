package holdfasttest_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfasttest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func TestAStoppedServerKeepsItsDataAndLeases(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		c := etcd.Client()
		lease, err := c.Grant(t.Context(), 0, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(t.Context(), "a", nil, gateway.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
		etcd.Stop()
		if _, err := c.Get(within(t, time.Second), "a"); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("Get = %v", err)
		}
		time.Sleep(time.Hour)
		etcd.Start()
		info, err := c.TimeToLive(t.Context(), lease.ID, true)
		if err != nil || info.TTL != 10*time.Second || len(info.Keys) != 1 {
			t.Errorf("TimeToLive = %+v, %v", info, err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, ok := etcd.Get("a"); ok {
			t.Error("the lease did not expire")
		}
	})
}

func TestAWatchResumesAfterItsStreamWasCut(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		c := etcd.Client()
		w, err := c.Watch(t.Context(), "", gateway.Prefix())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		etcd.CutStreams()
		if _, err := c.Put(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		for ev, err := range w.Events() {
			if err != nil || ev.KV.Key != "a" {
				t.Errorf("%+v, %v", ev, err)
			}
			break
		}
	})
}

func TestAWatchCannotResumeAfterACompaction(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		w, err := etcd.Client().Watch(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		time.Sleep(time.Minute)
		etcd.BlackHole(holdfasttest.Match{Call: holdfasttest.Watch})
		if _, err := etcd.Client().Put(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		etcd.Compact()
		etcd.CutStreams()
		etcd.Heal()
		time.AfterFunc(time.Minute, w.Close)
		seen := 0
		for _, err := range w.Events() {
			if seen++; !errors.Is(err, gateway.ErrCompacted) {
				t.Errorf("Events = %v", err)
			}
		}
		if seen == 0 {
			t.Error("the watch goes on")
		}
	})
}

func TestADeletedKeyEndsItsLock(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		lock, err := mutex.New(etcd.Session(nil), "jobs", nil).Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		etcd.Delete(lock.Key())
		<-lock.Context().Done()
		if !errors.Is(lock.Err(), session.ErrKeyDeleted) {
			t.Errorf("Err = %v", lock.Err())
		}
	})
}

func TestARestoredServerIsAnotherCluster(t *testing.T) {
	bubble(t, func(t *testing.T, etcd *holdfasttest.Server) {
		c := etcd.Client()
		rev := etcd.Revision()
		if _, err := c.Put(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		etcd.Restore(rev)
		if _, ok := etcd.Get("a"); ok || etcd.Revision() != rev {
			t.Errorf("the key exists: %v, at revision %d", ok, etcd.Revision())
		}
		_, err := c.Get(within(t, time.Second), "a")
		if !errors.Is(err, gateway.ErrClusterMismatch) {
			t.Errorf("Get = %v", err)
		}
		if _, err := etcd.Client().Get(t.Context(), "a"); err != nil {
			t.Errorf("a new client: %v", err)
		}
	})
}

func TestAServerOfTheOperatingSystem(t *testing.T) {
	t.Parallel()
	etcd := holdfasttest.New(t)
	server := httptest.NewServer(etcd)
	t.Cleanup(server.Close)
	c, err := gateway.New(gateway.Config{Endpoints: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := session.New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := mutex.New(s, "jobs", nil).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	etcd.Stop()
	etcd.Start()
	if err := lock.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if keys := etcd.Keys("jobs/"); len(keys) > 0 {
		t.Errorf("%q are left", keys)
	}
}

// TestAServerStartsInAMillisecond takes the shortest of many starts, because other programs may run
// during some of them.
func TestAServerStartsInAMillisecond(t *testing.T) {
	least := time.Hour
	for range 100 {
		began := time.Now()
		holdfasttest.New(t).Client()
		least = min(least, time.Since(began))
	}
	if least > time.Millisecond {
		t.Errorf("New takes %v", least)
	}
	t.Logf("New takes %v", least)
}
