package holdfasttest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfasttest"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// nightly is the program under test: it works under a lock, and stores its result under the guard
// of that.
func nightly(ctx context.Context, s *session.Session, work func(context.Context) error) error {
	job := mutex.New(s, "jobs/nightly", nil)
	return job.Do(ctx, func(ctx context.Context, lock *mutex.Lock) error {
		if err := work(ctx); err != nil {
			return err
		}
		put := gateway.OpPut("reports/nightly", []byte("done"))
		_, err := lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
		return err
	})
}

// untilTheEnd is work that takes longer than any test.
func untilTheEnd(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestTheJobEndsWithItsLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := holdfasttest.New(t)
		s := etcd.Session(nil)
		done := make(chan error, 1)
		go func() { done <- nightly(t.Context(), s, untilTheEnd) }()
		synctest.Wait() // the job has the lock and works
		etcd.Revoke(s.Lease())
		if err := <-done; !errors.Is(err, session.ErrLost) {
			t.Errorf("the job returned %v", err)
		}
		if _, ok := etcd.Get("reports/nightly"); ok {
			t.Error("it stored a report")
		}
	})
}

func TestTheJobStoresOneReportWhenTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := holdfasttest.New(t)
		s := etcd.Session(nil)
		etcd.DropAnswer(holdfasttest.Match{Text: "reports/", N: 1})
		etcd.Repeat(holdfasttest.Match{Text: "reports/"}, time.Minute)
		if err := nightly(t.Context(), s, func(context.Context) error { return nil }); err != nil {
			t.Errorf("the job returned %v", err)
		}
		time.Sleep(2 * time.Minute) // until all copies have arrived
		if kv, _ := etcd.Get("reports/nightly"); kv.Version != 1 {
			t.Errorf("it stored %d reports", kv.Version)
		}
	})
}

func TestTheJobRunsAgainAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := holdfasttest.New(t)
		runs := 0
		done := make(chan error, 1)
		go func() {
			done <- session.Run(t.Context(), etcd.Client(), nil,
				func(ctx context.Context, s *session.Session) error {
					return nightly(ctx, s, func(ctx context.Context) error {
						if runs++; runs == 1 {
							return untilTheEnd(ctx)
						}
						return nil
					})
				})
		}()
		synctest.Wait()
		etcd.Stop()
		time.Sleep(10 * time.Minute)
		etcd.Start()
		if err := <-done; err != nil || runs != 2 {
			t.Errorf("%d runs: %v", runs, err)
		}
	})
}
