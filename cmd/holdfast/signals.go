package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
)

// forwarded are the signals that a running command gets. The first few end a wait.
var (
	ending    = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}
	forwarded = append(slices.Clone(ending), syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGCONT)
)

// signalled is the cause of a context that a signal has ended.
type signalled struct{ signal syscall.Signal }

func (s *signalled) Error() string { return "ended by signal: " + s.signal.String() }

// signals takes the process's signals: they end the context, or go to whoever runs.
type signals struct {
	ch   chan os.Signal
	done chan struct{}
	end  context.CancelCauseFunc

	mu sync.Mutex
	to func(os.Signal)
}

// catch begins to take signals, but for those that are ignored, as under nohup.
func catch(ctx context.Context) (context.Context, *signals) {
	ctx, end := context.WithCancelCause(ctx)
	s := &signals{ch: make(chan os.Signal, 16), done: make(chan struct{}), end: end}
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
	if s.to != nil {
		s.to(sig)
	} else if slices.Contains(ending, sig) {
		s.end(&signalled{sig.(syscall.Signal)})
	}
}

// forward sends what comes from now on to fn; nil lets it end the context again.
func (s *signals) forward(fn func(os.Signal)) { s.forwardTo(func() func(os.Signal) { return fn }) }

// forwardTo is forward for what start begins: what comes meanwhile waits.
func (s *signals) forwardTo(start func() func(os.Signal)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = start()
}

func (s *signals) stop() {
	signal.Stop(s.ch)
	close(s.ch)
	<-s.done
	s.end(nil)
}
