package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// The environment variables with the configuration of a worker.
const (
	workerEnv    = "HOLDFAST_QUICKSTART_WORKER"
	prefixEnv    = "HOLDFAST_QUICKSTART_PREFIX"
	endpointsEnv = "ETCD_ENDPOINTS"
)

// The keys, below the prefix of this run.
const (
	lockName  = "lock"
	numberKey = "number"
	records   = "sessions/" // instead of the default, holdfast/sessions/
)

// ttl is the time after which the lock of a dead holder is free. It is short so that you need not
// wait. The default of 15 s is better for real work. Under 5 s, the library requires AllowShortTTL.
const ttl = 3 * time.Second

type worker struct {
	name, prefix string
	client       *gateway.Client
	words        chan struct{} // the director's permissions to write
}

// work is the main function of a worker process. It ends when its standard input ends, which is
// also the case if the director dies.
func work(name string) error {
	// All processes of a terminal receive Ctrl-C, but only the director reacts.
	signal.Ignore(os.Interrupt)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &worker{name: name, prefix: os.Getenv(prefixEnv), words: make(chan struct{}, 1)}
	go func() {
		defer cancel()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			w.words <- struct{}{}
		}
	}()

	// A client is a pool of connections. One is enough for a process.
	client, err := gateway.New(gateway.Config{Endpoints: splitEndpoints(os.Getenv(endpointsEnv))})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	w.client = client

	// A session is a lease in etcd that is kept alive. If this process dies, etcd deletes the keys
	// of the lease. Run opens another session after a loss, and closes the session at the end.
	opts := &session.Options{
		Name: name, TTL: ttl, AllowShortTTL: true, RecordPrefix: w.prefix + records,
	}
	err = session.Run(ctx, client, opts, func(_ context.Context, s *session.Session) error {
		w.report(event{Kind: ready, Lease: s.Lease()})
		m := mutex.New(s, w.prefix+lockName, nil) // sends no request
		for {
			if err := w.increment(ctx, m); err != nil {
				return err
			}
		}
	})
	if ctx.Err() != nil {
		return nil // the director ended it
	}
	return err
}

// increment adds one to the number, under the lock.
func (w *worker) increment(ctx context.Context, m *mutex.Mutex) error {
	lock, err := m.Lock(ctx) // waits until no other worker holds the lock
	if err != nil {
		return err
	}
	locked := time.Now()
	number, err := w.read(ctx)
	if err != nil {
		return err
	}
	w.report(event{Kind: holding, At: locked, Fence: lock.Fence(), Number: number})

	// The director stops the worker here, between the read and the write. A careful program would
	// also wait for lock.Context(), which ends when the lock is lost. This one does not, so that it
	// can lose the lock here.
	select {
	case <-w.words:
	case <-ctx.Done():
		return ctx.Err()
	}

	// A transaction under the lock. etcd applies it once, and only if this worker still holds the
	// lock.
	number++
	put := gateway.OpPut(w.prefix+numberKey, strconv.AppendInt(nil, number, 10))
	_, err = lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
	switch {
	case err == nil:
		w.report(event{Kind: wrote, Fence: lock.Fence(), Number: number})
		return lock.Unlock(ctx)
	// This process was paused, or cut off for long, before etcd could answer.
	case errors.Is(err, gateway.ErrUncertain):
		return err
	case errors.Is(err, session.ErrLost), errors.Is(err, session.ErrNotHeld):
		return w.insist(ctx, lock, number, put)
	}
	return err
}

// insist writes although the lock is lost. A correct program does not do that.
func (w *worker) insist(ctx context.Context, lock *mutex.Lock, number int64, put gateway.Op) error {
	// The session noticed the loss without a request: the context of the lock has ended, and Err is
	// the reason.
	<-lock.Context().Done()
	stale := event{Kind: refused, Fence: lock.Fence(), Number: number}
	stale.Text = fmt.Sprintf("its own session (%v)", lock.Err())
	w.report(stale)

	// This write does not use the session, like the write of a process that was paused just before
	// it sent it. etcd refuses it because of the guard: it compares the revision of the lock's key,
	// the fence, and that key is deleted.
	resp, err := w.client.Txn(ctx, gateway.Txn{
		If: []gateway.Cmp{lock.Guard()}, Then: []gateway.Op{put},
	})
	if err != nil {
		return err
	}
	if resp.Succeeded {
		w.report(event{Kind: wrote, Fence: lock.Fence(), Number: number}) // never happens
		return errors.New("a stale write went through")
	}
	stale.Text = "etcd (the guard does not hold)"
	w.report(stale)
	return lock.Err() // session.Run opens a new session
}

// read returns the number, or 0 before the first increment.
func (w *worker) read(ctx context.Context) (int64, error) {
	resp, err := w.client.Get(ctx, w.prefix+numberKey)
	if err != nil || len(resp.KVs) == 0 {
		return 0, err
	}
	return strconv.ParseInt(string(resp.KVs[0].Value), 10, 64)
}

// report sends an event to the director as one line of JSON.
func (w *worker) report(e event) {
	e.Worker, e.PID = w.name, os.Getpid()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	_ = json.NewEncoder(os.Stdout).Encode(e) // if the director has ended, our input ends, too
}
