package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// endSignals end a wait, or the receiving of items. They are forwarded to a running command.
var endSignals = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}

// signalled is the cause of a context that a signal ended.
type signalled struct{ signal syscall.Signal }

func (s *signalled) Error() string { return "ended by signal: " + s.signal.String() }

// signals receives the signals of the process and handles each according to its state:
//
//   - waiting: one of endSignals ends the context.
//   - forwarding: all signals are forwarded to the running commands. If idle reports that none
//     runs and only releases are left, it is the next state.
//   - releasing: a second one of endSignals ends the process at once, because the releases may take
//     long if etcd does not answer.
type signals struct {
	ch     chan os.Signal
	done   chan struct{}
	cancel context.CancelCauseFunc
	atOnce func(syscall.Signal) // ends the process

	mu        sync.Mutex
	to        func(os.Signal) // set while signals are forwarded
	idle      func() bool     // may be nil
	released  bool            // only releases are left to do
	lastEnded time.Time       // time of the last of endSignals
}

// sameSignal is the time within which several signals count as one: timeout and service managers
// send one to a process and another to its group.
const sameSignal = 250 * time.Millisecond

// catchSignals starts to receive signals, except those that are ignored, as under nohup. The
// context ends at the first of endSignals.
func catchSignals(
	ctx context.Context, atOnce func(syscall.Signal),
) (context.Context, *signals) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &signals{
		ch: make(chan os.Signal, 16), done: make(chan struct{}), cancel: cancel, atOnce: atOnce,
	}
	for _, sig := range allSignals {
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
			s.handle(sig)
		}
	}()
	return ctx, s
}

func (s *signals) handle(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ends := slices.Contains(endSignals, sig)
	repeated := !s.lastEnded.IsZero() && time.Since(s.lastEnded) > sameSignal
	if ends {
		s.lastEnded = time.Now()
	}
	switch number := sig.(syscall.Signal); {
	case ends && repeated && s.idle != nil && s.idle():
		s.atOnce(number)
	case s.to != nil:
		s.to(sig)
	case !ends:
	case s.released && repeated:
		s.atOnce(number)
	default:
		s.released = true
		s.cancel(&signalled{number})
	}
}

// forward forwards later signals to fn. idle reports whether only releases are left to do.
func (s *signals) forward(fn func(os.Signal), idle func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.idle = fn, idle
}

// forwardToNew forwards later signals to the command that start starts. Signals during start wait.
func (s *signals) forwardToNew(start func() func(os.Signal)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = start()
}

// releasing notes that only releases are left to do.
func (s *signals) releasing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.idle, s.released = nil, nil, true
}

func (s *signals) stop() {
	signal.Stop(s.ch)
	close(s.ch)
	<-s.done
	s.cancel(nil)
}
