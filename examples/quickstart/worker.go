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

// How a worker learns who it is.
const (
	workerEnv    = "HOLDFAST_QUICKSTART_WORKER"
	prefixEnv    = "HOLDFAST_QUICKSTART_PREFIX"
	endpointsEnv = "ETCD_ENDPOINTS"
)

// Where things are, below the prefix of this run.
const (
	lockName  = "lock"
	numberKey = "number"
	records   = "sessions/" // who has a session; else it is at holdfast/sessions/
)

// ttl is how long a lock outlives its holder. It is short so that you need not wait; the default of 15 s is better for
// real work, and under 5 s the library asks whether you mean it.
const ttl = 3 * time.Second

type worker struct {
	name, prefix string
	client       *gateway.Client
	words        chan struct{} // the director says: write
}

// work is the whole life of a worker process. It ends when its standard input does, so also when the director dies.
func work(name string) error {
	signal.Ignore(os.Interrupt) // Ctrl-C reaches all processes of the terminal; the director decides what to do
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

	// A session is a lease in etcd that is kept alive: what hangs on it goes when this process dies. Run makes another
	// one when it was lost, and closes it in the end.
	opts := &session.Options{Name: name, TTL: ttl, AllowShortTTL: true, RecordPrefix: w.prefix + records}
	err = session.Run(ctx, client, opts, func(_ context.Context, s *session.Session) error {
		w.report(event{Kind: ready, Lease: s.Lease()})
		m := mutex.New(s, w.prefix+lockName, nil) // no request yet: it is but a name
		for {
			if err := w.increment(ctx, m); err != nil {
				return err
			}
		}
	})
	if ctx.Err() != nil {
		return nil // as it was told to
	}
	return err
}

// increment adds one to the number, under the lock.
func (w *worker) increment(ctx context.Context, m *mutex.Mutex) error {
	lock, err := m.Lock(ctx) // waits until it is our turn
	if err != nil {
		return err
	}
	locked := time.Now()
	number, err := w.read(ctx)
	if err != nil {
		return err
	}
	w.report(event{Kind: holding, At: locked, Fence: lock.Fence(), Number: number})

	// The longest way between reading and writing. Do not do this at home: here, where it may be paused and lose the
	// lock, a careful program would also wait for lock.Context(), which ends when the lock is lost.
	select {
	case <-w.words:
	case <-ctx.Done():
		return ctx.Err()
	}

	// A transaction under the lock: etcd applies it once, and only if we still hold the lock.
	number++
	put := gateway.OpPut(w.prefix+numberKey, strconv.AppendInt(nil, number, 10))
	_, err = lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}})
	switch {
	case err == nil:
		w.report(event{Kind: wrote, Fence: lock.Fence(), Number: number})
		return lock.Unlock(ctx)
	case errors.Is(err, gateway.ErrUncertain): // we were stopped, or cut off for long, before etcd could answer
		return err
	case errors.Is(err, session.ErrLost), errors.Is(err, session.ErrNotHeld):
		return w.insist(ctx, lock, number, put)
	}
	return err
}

// insist does what one should not: it has been told that the lock is lost, and writes nevertheless.
func (w *worker) insist(ctx context.Context, lock *mutex.Lock, number int64, put gateway.Op) error {
	// The lock knew without asking etcd: its context has ended, and Err says why.
	<-lock.Context().Done()
	stale := event{Kind: refused, Fence: lock.Fence(), Number: number}
	stale.Text = fmt.Sprintf("its own session (%v)", lock.Err())
	w.report(stale)

	// Past the session, right to etcd, as a process does that was paused just before it sent the write. The guard turns
	// it away: it compares the revision of our key in the lock, the fence, and that key is gone.
	resp, err := w.client.Txn(ctx, gateway.Txn{If: []gateway.Cmp{lock.Guard()}, Then: []gateway.Op{put}})
	if err != nil {
		return err
	}
	if resp.Succeeded {
		w.report(event{Kind: wrote, Fence: lock.Fence(), Number: number}) // never
		return errors.New("a stale write went through")
	}
	stale.Text = "etcd (the guard does not hold)"
	w.report(stale)
	return lock.Err() // to session.Run, which begins anew
}

// read gets the number. Before the first increment there is none.
func (w *worker) read(ctx context.Context) (int64, error) {
	resp, err := w.client.Get(ctx, w.prefix+numberKey)
	if err != nil || len(resp.KVs) == 0 {
		return 0, err
	}
	return strconv.ParseInt(string(resp.KVs[0].Value), 10, 64)
}

// report tells the director, in one line of JSON.
func (w *worker) report(e event) {
	e.Worker, e.PID = w.name, os.Getpid()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	_ = json.NewEncoder(os.Stdout).Encode(e) // nobody listens: then our input ends, too
}
