package barrier_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/barrier"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// opened returns a session that is closed at the end of the test.
func opened(t *testing.T, etcd *fakeetcd.Server, name string) *session.Session {
	t.Helper()
	s, err := session.New(t.Context(), etcd.Client(t), &session.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// inspected is a barrier of any kind.
type inspected interface {
	Inspect(ctx context.Context) (*barrier.State, error)
}

// look inspects a barrier, and compares all but the members and the revision.
func look(t *testing.T, b inspected, want barrier.State) []barrier.Member {
	t.Helper()
	is, err := b.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if is.Revision == 0 || is.Raised != want.Raised || is.Round != want.Round ||
		is.Missing != want.Missing {
		t.Errorf("%+v, want %+v", is, want)
	}
	return is.Members
}

func TestInspectBarrier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := opened(t, etcd, "me")
		b := barrier.New(s, "a")
		if all := look(t, b, barrier.State{}); len(all) != 0 {
			t.Errorf("members %+v", all)
		}
		held, err := b.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := look(t, b, barrier.State{})
		if len(all) != 1 || !all[0].Holder || all[0].Key != held.Key() || all[0].Fence != held.Fence() ||
			all[0].Lease != s.Lease() || all[0].Session == nil || all[0].Session.Name != "me" {
			t.Errorf("members %+v", all)
		}
		ctx := t.Context()
		if err := errors.Join(held.Release(ctx), b.Raise(ctx), s.Close(ctx)); err != nil {
			t.Fatal(err)
		}
		if all := look(t, b, barrier.State{Raised: true}); len(all) != 0 { // the session has ended
			t.Errorf("members %+v", all)
		}
	})
}

// TestInspectRounds: members wait, pass with a round, and leave it. Broken rounds count.
func TestInspectRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		d := barrier.NewDouble(opened(t, etcd, "me"), "a", 2)
		look(t, d, barrier.State{Missing: 2})
		entries := make(chan *barrier.Entry)
		for range 3 {
			go func() {
				e, err := d.Enter(t.Context())
				if err != nil {
					t.Error(err)
				}
				entries <- e
			}()
			synctest.Wait()
		}
		one, two := <-entries, <-entries
		all := look(t, d, barrier.State{Round: 1, Missing: 1})
		if len(all) != 3 || !all[0].Holder || !all[1].Holder || all[2].Holder ||
			all[0].Round != 1 || all[1].Round != 1 || all[2].Round != 0 {
			t.Errorf("members %+v", all)
		}
		go func() { _ = one.Leave(t.Context()) }()
		go func() { _ = two.Leave(t.Context()) }()
		synctest.Wait()
		if all := look(t, d, barrier.State{Round: 1, Missing: 1}); len(all) != 1 || all[0].Holder {
			t.Errorf("members %+v", all)
		}
		if _, err := d.Enter(t.Context()); err != nil {
			t.Error(err)
		}
		<-entries
		look(t, d, barrier.State{Round: 2, Missing: 2})

		c := barrier.NewCyclic(opened(t, etcd, "me"), "b", 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Await(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		look(t, c, barrier.State{Round: 1, Missing: 2})
	})
}

func TestInspectLatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		l := barrier.NewLatch(opened(t, etcd, "me"), "a", 2)
		for _, missing := range []int{2, 1, 0, 0} {
			look(t, l, barrier.State{Missing: missing})
			if err := l.CountDown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		other := opened(t, etcd, "other")
		for _, b := range []inspected{
			barrier.NewLatch(other, "a", 3), barrier.NewDouble(other, "a", 2),
			barrier.NewCyclic(other, "a", 2),
		} {
			if _, err := b.Inspect(t.Context()); !errors.Is(err, barrier.ErrConfigMismatch) {
				t.Errorf("declared otherwise: %v", err)
			}
		}
	})
}
