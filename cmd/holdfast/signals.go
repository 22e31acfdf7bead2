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

// forwarded are the signals that are forwarded to a running command. The signals of ending end a
// wait.
var (
	ending    = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}
	forwarded = append(slices.Clone(ending), syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
		syscall.SIGWINCH, syscall.SIGCONT)
)

// signalled is the cause of a context that a signal ended.
type signalled struct{ signal syscall.Signal }

func (s *signalled) Error() string { return "ended by signal: " + s.signal.String() }

// signals receives the signals of the process. They end the context, or are forwarded to the
// running command. After the end has begun, one more signal ends the process at once, because the
// end may take long if etcd does not answer.
type signals struct {
	ch   chan os.Signal
	done chan struct{}
	end  context.CancelCauseFunc

	mu     sync.Mutex
	to     func(os.Signal)
	idle   func() bool // whether only releases are left to do although to is set; may be nil
	ends   bool        // only releases are left to do
	last   time.Time   // time of the last signal to end
	atOnce func(syscall.Signal)
}

// together is the time within which several signals count as one: timeout and service managers send
// one to a process and another to its group.
const together = 250 * time.Millisecond

// catch starts to receive signals, except those that are ignored, as under nohup.
func catch(ctx context.Context, atOnce func(syscall.Signal)) (context.Context, *signals) {
	ctx, end := context.WithCancelCause(ctx)
	s := &signals{ch: make(chan os.Signal, 16), done: make(chan struct{}), end: end, atOnce: atOnce}
	for _, sig := range forwarded {
		if !signal.Ignored(sig) {
			signal.Notify(s.ch, sig)
		}
	}
	// Without this, a write to a closed pipe would end the process. It has to return an error, so
	// that holds are released. A caught signal has its default action again in commands; an ignored
	// one would stay ignored there.
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

// lastWords is how long the last warning may take to print, because the output may be blocked, as
// on a terminal after Ctrl-S.
const lastWords = 100 * time.Millisecond

// dieAtOnce ends the process without releasing its holds.
func (a *app) dieAtOnce(sig syscall.Signal) {
	said := make(chan struct{})
	go func() {
		a.warn("ended at once by another signal (%v); what was held is free when the lease runs "+
			"out", sig)
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

// forward forwards later signals to fn. idle reports whether only releases are left to do.
func (s *signals) forward(fn func(os.Signal), idle func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.idle = fn, idle
}

// forwardTo forwards later signals to the command that start starts. Signals during start wait.
func (s *signals) forwardTo(start func() func(os.Signal)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = start()
}

// closing notes that only releases are left to do. The next signal to end does not wait for them.
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
