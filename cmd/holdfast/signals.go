package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
)

// forwarded are the signals that a running command gets. The first few end a wait.
var (
	ending    = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}
	forwarded = append(slices.Clone(ending), syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGCONT)
)

// signalled is the cause of a context that a signal has ended.
type signalled struct{ signal syscall.Signal }

func (s *signalled) Error() string { return "ended by signal: " + s.signal.String() }

// signals takes the process's signals: they end the context, or go to the command that runs. Once the end has begun, which
// may take long if etcd does not answer, one more signal ends the process at once.
type signals struct {
	ch   chan os.Signal
	done chan struct{}
	end  context.CancelCauseFunc

	mu     sync.Mutex
	to     func(os.Signal)
	idle   func() bool // nothing is left for to to do but to give back what is held; may be nil
	ends   bool        // nothing is left to do but to give back what is held
	last   time.Time   // when a signal to end came
	atOnce func(syscall.Signal)
}

// together is the time within which several signals are one: timeout and service managers send one to a process and
// another to its group.
const together = 250 * time.Millisecond

// catch begins to take signals, but for those that are ignored, as under nohup.
func catch(ctx context.Context, atOnce func(syscall.Signal)) (context.Context, *signals) {
	ctx, end := context.WithCancelCause(ctx)
	s := &signals{ch: make(chan os.Signal, 16), done: make(chan struct{}), end: end, atOnce: atOnce}
	for _, sig := range forwarded {
		if !signal.Ignored(sig) {
			signal.Notify(s.ch, sig)
		}
	}
	// What is written for nobody is an error, after which things are given back. To be caught is enough for that, and unlike
	// what is ignored it is not passed on to commands.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go func() {
		defer close(s.done)
		for sig := range s.ch {
			s.take(sig)
		}
	}()
	return ctx, s
}

func (s *signals) take(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	toEnd := slices.Contains(ending, sig)
	repeated := !s.last.IsZero() && time.Since(s.last) > together
	if toEnd {
		s.last = time.Now()
	}
	switch number := sig.(syscall.Signal); {
	case toEnd && repeated && s.idle != nil && s.idle():
		s.atOnce(number)
	case s.to != nil:
		s.to(sig)
	case !toEnd:
	case s.ends && repeated:
		s.atOnce(number)
	default:
		s.ends = true
		s.end(&signalled{number})
	}
}

// lastWords is how long the line may take that says that holdfast ends at once: nothing may take it, as on a terminal after
// Ctrl-S.
const lastWords = 100 * time.Millisecond

// dieAtOnce ends the process with all that it holds.
func (a *app) dieAtOnce(sig syscall.Signal) {
	said := make(chan struct{})
	go func() {
		a.warn("ended at once by another signal (%v); what was held is free when the lease runs out", sig)
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(lastWords):
	}
	if os.Getpid() != 1 {
		childproc.Raise(sig)
	}
	os.Exit(codeSignal + int(sig))
}

// forward sends what comes from now on to fn. idle reports that nothing is left but to give back what is held.
func (s *signals) forward(fn func(os.Signal), idle func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.idle = fn, idle
}

// forwardTo sends what comes from now on to what start begins: what comes meanwhile waits.
func (s *signals) forwardTo(start func() func(os.Signal)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = start()
}

// closing says that the rest is only to give back what is held: the next signal to end does not wait for it.
func (s *signals) closing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.idle, s.ends = nil, nil, true
}

func (s *signals) stop() {
	signal.Stop(s.ch)
	close(s.ch)
	<-s.done
	s.end(nil)
}
