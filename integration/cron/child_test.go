package cron_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

// replicas are the processes of the tests.
var replicas = reexec.Register("replica", child)

const (
	period  = 50 * time.Millisecond
	maxWork = 20 * time.Millisecond
	// childTTL is the time after which a killed replica is replaced.
	childTTL = 2 * time.Second
)

// arguments of a child.
type arguments struct {
	Endpoints []string
	Name      string
	Shift     time.Duration // of the clock
	Locks     bool          // a lock for each tick, instead of a schedule
}

// message is a line that a child prints when it runs a tick.
type message struct {
	PID       int
	Scheduled time.Time
	Attempt   int
	Late      time.Duration // at its own clock
}

// child runs ticks until its standard input ends.
func child(args arguments) int {
	ctx, cancel := context.WithCancel(clock.Shift(context.Background(), args.Shift))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	c, err := gateway.New(gateway.Config{Endpoints: args.Endpoints})
	if err == nil {
		runs := withSchedule
		if args.Locks {
			runs = withLocks
		}
		err = runs(ctx, c, args.Name)
	}
	if ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// done is the key of the guarded write of a tick. Its version is the number of times that the write
// was applied.
func done(name string, tick time.Time) string {
	return name + "-done/" + strconv.FormatInt(tick.UnixNano(), 10)
}

// options are the sessions of the children.
var options = &session.Options{TTL: childTTL, AllowShortTTL: true}

func withSchedule(ctx context.Context, c *gateway.Client, name string) error {
	out := json.NewEncoder(os.Stdout)
	return cron.New(name, cron.Every(period), &cron.Options{
		Missed: cron.MissedAll, MaxAttempts: 1000, Session: options,
	}).Run(ctx, c, func(ctx context.Context, tick *cron.Tick) error {
		_ = out.Encode(message{
			os.Getpid(), tick.Scheduled(), tick.Attempt(), clock.Wall(ctx).Sub(tick.Scheduled()),
		})
		select { // the work
		case <-time.After(rand.N(maxWork)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return tick.Complete(ctx, gateway.OpPut(done(name, tick.Scheduled()), nil))
	})
}

// withLocks is the way of go-co-op/gocron#841: each process has a clock, and tries to acquire a
// lock when a tick is due.
func withLocks(ctx context.Context, c *gateway.Client, name string) error {
	out := json.NewEncoder(os.Stdout)
	return session.Run(ctx, c, options, func(ctx context.Context, s *session.Session) error {
		for {
			now := clock.Wall(ctx)
			tick := cron.Every(period).Next(now)
			select {
			case <-time.After(tick.Sub(now)):
			case <-ctx.Done():
				return ctx.Err()
			}
			lock, err := mutex.New(s, name, nil).TryLock(ctx)
			if err != nil {
				continue // another process has it
			}
			_ = out.Encode(message{PID: os.Getpid(), Scheduled: tick})
			_, _ = lock.Txn(ctx, gateway.Txn{
				Then: []gateway.Op{gateway.OpPut(done(name, tick), nil)},
			})
			_ = lock.Unlock(ctx)
		}
	})
}
