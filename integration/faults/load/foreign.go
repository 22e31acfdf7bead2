package load

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// ForeignClient begins the names of the clients of a Foreign.
const ForeignClient = "clientv3"

// Foreign is a program that wants the lock Cached with clientv3/concurrency. Its holders write
// under their key, which shows that they hold the lock then.
type Foreign struct {
	rec    *history.Recorder
	client *clientv3.Client
	ttl    time.Duration
	work   context.Context
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// StartForeign starts it. The caller closes it before the client.
func StartForeign(client *clientv3.Client, ttl time.Duration, rec *history.Recorder) *Foreign {
	f := &Foreign{rec: rec, client: client, ttl: ttl}
	f.work, f.stop = context.WithCancel(context.Background())
	f.done.Go(func() {
		for f.rest(20 * pace) {
			f.session()
		}
	})
	return f
}

// Close ends it and waits for it.
func (f *Foreign) Close() {
	f.stop()
	f.done.Wait()
}

func (f *Foreign) rest(d time.Duration) bool {
	return (&worker{ctx: f.work}).rest(d)
}

// session uses one session until its end. An error of clientv3 is no violation here.
func (f *Foreign) session() {
	ctx, cancel := context.WithTimeout(f.work, f.ttl)
	defer cancel()
	lease, err := f.client.Grant(ctx, int64(f.ttl/time.Second))
	if err != nil {
		return
	}
	s, err := concurrency.NewSession(f.client, concurrency.WithLease(lease.ID),
		concurrency.WithTTL(int(f.ttl/time.Second)))
	if err != nil {
		return
	}
	defer s.Close()
	for f.rest(20*pace) && f.lock(s) {
	}
}

// lock uses the lock once. It returns false when the session is of no further use.
func (f *Foreign) lock(s *concurrency.Session) bool {
	m := concurrency.NewMutex(s, Cached)
	of := history.Op{Client: ForeignClient, Lease: int64(s.Lease()), Place: Cached}
	begin := func(verb, key string) *history.Op {
		of.Verb, of.Key = verb, key
		return f.rec.Begin(of)
	}
	ctx, cancel := context.WithTimeout(f.work, 4*f.ttl)
	defer cancel()
	op := begin(history.Lock, "")
	hold := op.Token()
	f.rec.Amend(op, func(o *history.Op) { o.Key = hold })
	err := m.Lock(ctx)
	f.rec.End(op, got(err), err, nil)
	if err != nil {
		return false
	}
	f.rest(pace) // the others wait
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	op = begin(history.Write, hold)
	resp, err := f.client.Txn(after).If(m.IsOwner()).Then(
		clientv3.OpPut(history.ValueKey(Cached), history.Guarded(0, op.Token())),
	).Commit()
	outcome := history.Unknown
	switch {
	case err != nil:
	case resp.Succeeded:
		outcome = history.OK
	default:
		outcome = history.Refused
	}
	f.rec.End(op, outcome, err, nil)
	return m.Unlock(after) == nil
}
