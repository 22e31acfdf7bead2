package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

func TestAllWatchesShareOneStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, stopA := watch(t, c, "a")
		st := s.next(t)
		idA := st.accept("a", 0, 5)
		a.want(t, "created 5")

		b, _ := watch(t, c, "b/", gateway.Prefix(), gateway.AtRevision(3), gateway.PrevKV())
		m := st.read()
		if m.Create == nil || string(m.Create.End) != "b0" || m.Create.Start != 3 ||
			!m.Create.PrevKV || m.Create.ID == idA {
			t.Errorf("create request %+v", m.Create)
		}
		idB := m.Create.ID
		b.want(t)
		st.write(events(idA, kv("a", 6)), created(idB, 6), events(idB, kv("b/1", 3), kv("b/2", 4)),
			events(idA, kv("a", 7), kv("a", 8)))
		a.want(t, "created 5", "a@6", "a@7 a@8")
		b.want(t, "created 6", "b/1@3 b/2@4")

		stopA()
		stopA()
		if m := st.read(); m.Cancel == nil || m.Cancel.ID != idA {
			t.Errorf("got %+v, want a cancel", m)
		}
		st.write(events(idA, kv("a", 9)), line(9, `"watch_id":"%d","canceled":true`, idA),
			events(idB, kv("b/1", 9)))
		a.want(t, "created 5", "a@6", "a@7 a@8")
		b.want(t, "created 6", "b/1@3 b/2@4", "b/1@9")
		s.none(t)
	})
}

// TestAWatchReceivesEventsOfEveryForm: deletions, previous values, and messages cut into bytes or
// glued together.
func TestAWatchReceivesEventsOfEveryForm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, _ := watch(t, s.client(t, func(cfg *gateway.Config) { cfg.Namespace = "ns/" }), "k")
		st := s.next(t)
		id := st.accept("ns/k", 0, 5)
		for _, b := range []byte(events(id, kv("ns/k", 6))) {
			st.write(string(b))
		}
		st.write(line(8, `"watch_id":"%d","events":[{"type":"DELETE","kv":{"key":"%s",`+
			`"mod_revision":7},"prev_kv":%s}]`,
			id, b64("ns/k"), strings.TrimSuffix(strings.TrimPrefix(kv("ns/k", 6), `{"kv":`), "}")))
		r.want(t, "created 5", "k@6", "k@7")
		ev := r.got[2].Events[0]
		if !ev.Deleted || ev.KV.Key != "k" || ev.PrevKV == nil || ev.PrevKV.Key != "k" ||
			string(ev.PrevKV.Value) != "v" {
			t.Errorf("%+v", ev)
		}
	})
}

// TestARefusedWatchDisturbsNoOther: one watch among many receives an error, the others continue.
func TestARefusedWatchDisturbsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, _ := watch(t, c, "a")
		b, _ := watch(t, c, "b")
		d, _ := watch(t, c, "d")
		st := s.next(t)
		ids := map[string]int64{}
		var order []string
		for range 3 { // the order of the stream's first creates is random
			m := st.read()
			ids[string(m.Create.Key)] = m.Create.ID
			order = append(order, string(m.Create.Key))
		}
		for _, key := range order {
			if key == "b" {
				st.write(refused(5, "PermissionDenied", "etcdserver: permission denied"))
				continue
			}
			st.write(created(ids[key], 5))
		}
		st.write(events(ids["a"], kv("a", 6)), events(ids["d"], kv("d", 7)))
		a.want(t, "created 5", "a@6")
		b.want(t, "error")
		d.want(t, "created 5", "d@7")
		wantErr(t, b.err(), list(gateway.ErrPermissionDenied), list(gateway.ErrUnavailable))
		typed(t, b.err(), "watch", s.urls[0])
		s.none(t)
	})
}

func TestAWatchOfACompactedRevisionIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, _ := watch(t, c, "a", gateway.AtRevision(2))
		st := s.next(t)
		id := st.create("a", 2)
		st.write(created(id, 5),
			`{"result":{"header":{"cluster_id":"7"},`+
				`"watch_id":"`+fmt.Sprint(id)+`","canceled":true,"compact_revision":"4"}}`+"\n")
		a.want(t, "created 5", "error")
		wantErr(t, a.err(), list(gateway.ErrCompacted), list(gateway.ErrUnavailable))
		st.hungUp() // it was the last watch
		s.none(t)

		b, _ := watch(t, c, "b")
		s.next(t).accept("b", 0, 6)
		b.want(t, "created 6")
	})
}

// TestAStreamWhoseLastWatchWasRefusedIsClosed: a stream without watches is closed, even if the
// server ended the last one.
func TestAStreamWhoseLastWatchWasRefusedIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		r, stop := watch(t, s.client(t), "a")
		st := s.next(t)
		st.create("a", 0)
		st.write(refused(5, "PermissionDenied", "etcdserver: permission denied"))
		st.hungUp()
		r.want(t, "error")
		stop()
		time.Sleep(time.Minute)
		s.none(t)
	})
}

// TestAStreamWhoseLastWatchEndedIsClosed: no stream and no goroutine is left, and the next watch
// opens a new stream.
func TestAStreamWhoseLastWatchEndedIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		for range 3 {
			r, stop := watch(t, c, "a")
			st := s.next(t)
			st.accept("a", 0, 5)
			r.want(t, "created 5")
			stop()
			st.hungUp()
		}
		// The same while there is no answer.
		_, stop := watch(t, c, "a")
		st := s.next(t)
		st.create("a", 0)
		stop()
		st.hungUp()
		time.Sleep(time.Minute)
		s.none(t)
	})
}

func TestAWatchMayBeStoppedInItsLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		other, _ := watch(t, c, "other")
		st := s.next(t)
		idOther := st.accept("other", 0, 5)
		calls := 0
		var stop func()
		stop, err := c.WatchFunc("a", func(gateway.WatchResponse) {
			if calls++; calls == 2 {
				stop()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		id := st.accept("a", 0, 5)
		st.write(events(id, kv("a", 6)), events(id, kv("a", 7)), events(idOther, kv("other", 8)))
		other.want(t, "created 5", "other@8")
		if calls != 2 {
			t.Errorf("%d calls, want none after stop", calls)
		}
	})
}

func TestCloseEndsAllWatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, nil)
		c := s.client(t)
		a, stop := watch(t, c, "a")
		st := s.next(t)
		st.accept("a", 0, 5)
		a.want(t, "created 5")
		b, _ := watch(t, c, "b") // not confirmed
		st.create("b", 0)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		a.want(t, "created 5", "error")
		b.want(t, "error")
		wantErr(t, a.err(), list(gateway.ErrClosed), nil)
		stop()
		_, err := c.WatchFunc("a", a.take)
		wantErr(t, err, list(gateway.ErrClosed), nil)
	})
}

// TestEventsOfAnotherClusterAreNotDelivered: responses of another cluster are not delivered.
func TestEventsOfAnotherClusterAreNotDelivered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 1, func(w http.ResponseWriter, _ request) {
			answer(w, 200, `{"header":{"cluster_id":"8","revision":"5"}}`)
		})
		c := s.client(t)
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Fatal(err)
		}
		r, _ := watch(t, c, "a")
		st := s.next(t)
		id := st.create("a", 0)
		st.write(created(id, 5))
		r.want(t, "error")
		wantErr(t, r.err(), list(gateway.ErrClusterMismatch), nil)
	})
}

func TestAnInvalidWatchIsRejected(t *testing.T) {
	t.Parallel()
	c := newClient(t, gateway.Config{Endpoints: []string{"http://a:1"}})
	for _, tt := range []struct {
		key  string
		opts []gateway.Option
	}{
		{"", nil},
		{"a", []gateway.Option{gateway.AtRevision(-1)}},
		{"b", []gateway.Option{gateway.Range("a")}},
		{"b", []gateway.Option{gateway.Limit(1)}},
	} {
		_, err := c.WatchFunc(tt.key, func(gateway.WatchResponse) {}, tt.opts...)
		wantErr(t, err, list(gateway.ErrInvalid), nil)
		_, err = c.Watch(t.Context(), tt.key, tt.opts...)
		wantErr(t, err, list(gateway.ErrInvalid), nil)
	}
}
