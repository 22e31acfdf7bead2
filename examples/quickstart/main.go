// Quickstart shows a lock during failures. Three processes, alice, bob and carol, increment a
// number in etcd repeatedly, each time under the same lock. One of them is killed while it holds
// the lock. Another is paused for so long that it loses the lock, and then still tries to write. No
// update is lost.
//
//	go run -C examples ./quickstart
//
// It starts its own etcd in a temporary folder. To use yours, set
// ETCD_ENDPOINTS=http://127.0.0.1:2379. It needs Linux, macOS or another Unix, because it pauses a
// process with a signal.
//
// The code that locks and writes is in worker.go; read that first. This file starts the workers,
// kills or pauses them between a read and a write, and counts. etcd.go, director.go, workers.go and
// timeline.go are helpers.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

func main() {
	if name := os.Getenv(workerEnv); name != "" { // one of the workers, see workers.go
		os.Exit(status(work(name)))
	}
	os.Exit(direct())
}

func direct() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tooLong := errors.New("the story took too long")
	bounded, cancel := context.WithTimeoutCause(ctx, time.Minute, tooLong)
	defer cancel()
	code := status(run(bounded, os.Stdout))
	if ctx.Err() != nil {
		return 130 // the status of a shell after Ctrl-C
	}
	return code
}

func status(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		return 1
	}
	return 0
}

// run runs the story and cleans up, also after an interrupt.
func run(ctx context.Context, out io.Writer) (err error) {
	endpoints, where, stopEtcd, err := findEtcd(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopEtcd()) }()
	client, err := gateway.New(gateway.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := ping(ctx, client); err != nil {
		return err
	}

	tl := newTimeline(out)
	tl.title("Three processes increment a number under one lock; etcd is %s; "+
		"locks outlive their holder by %v.", where, ttl)
	prefix := "holdfast-quickstart/" + rand.Text() + "/"
	defer func() { err = errors.Join(err, cleanUp(ctx, client, prefix)) }()

	w, err := startWorkers(ctx, endpoints, prefix, "alice", "bob", "carol")
	if err == nil {
		err = (&director{w, tl}).story(ctx)
	}
	w.end() // returns when all workers have ended
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return check(ctx, client, prefix, tl)
}

// story kills one worker and pauses another. A worker that holds the lock and has read the number
// waits until the director lets it write. Therefore it is killed or paused between its read and its
// write.
func (d *director) story(ctx context.Context) error {
	tl, w := d.timeline, d.workers

	tl.title("All is well")
	if err := d.until(ctx, increments(4)); err != nil {
		return err
	}

	tl.title("The holder is killed: the lock is free once its lease has expired")
	victim, err := d.holder(ctx)
	if err != nil {
		return err
	}
	w.kill(victim.Worker)
	tl.took(victim.Worker, "was killed", "KILLED with -9, between reading and writing")
	if err := d.until(ctx, increments(4)); err != nil {
		return err
	}

	tl.title("The holder is paused: it loses the lock, and does not know")
	sleeper, err := d.holder(ctx)
	if err != nil {
		return err
	}
	if err := w.pause(sleeper.Worker); err != nil {
		return err
	}
	tl.took(sleeper.Worker, "was paused", "PAUSED with SIGSTOP, between reading and writing")
	if err := d.until(ctx, increments(3)); err != nil { // then another worker has had the lock
		return err
	}
	tl.note(sleeper.Worker, "RESUMED with SIGCONT, and allowed to write")
	if err := errors.Join(w.resume(sleeper.Worker), w.letWrite(sleeper.Worker)); err != nil {
		return err
	}
	back := func(e event) bool { return e.Kind == ready && e.Worker == sleeper.Worker }
	if err := d.until(ctx, back); err != nil {
		return err
	}

	tl.title("All is well again: with a new session the sleeper is back in line")
	return d.until(ctx, increments(4))
}

// check compares the number of increments with the number in etcd.
func check(ctx context.Context, client *gateway.Client, prefix string, tl *timeline) error {
	resp, err := client.Get(ctx, prefix+numberKey)
	if err != nil {
		return err
	}
	if len(resp.KVs) == 0 {
		return errors.New("the number is gone")
	}
	number, err := strconv.ParseInt(string(resp.KVs[0].Value), 10, 64)
	if err != nil {
		return err
	}
	// The version of the key is the exact number of writes, even if a worker died before its
	// report.
	done := max(resp.KVs[0].Version, tl.increments)
	lost := done - number
	tl.title("%d increments done, %d lost updates, %d stale writes refused. "+
		"The number in etcd is %d.", done, lost, tl.refused, number)
	switch {
	case lost != 0:
		return errors.New("updates were lost")
	case tl.refused == 0:
		return errors.New("no stale write was refused")
	}
	return nil
}
