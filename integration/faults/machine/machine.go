// Package machine measures how much of the machine other programs take from a test, and decides
// whether a finding of the test says anything.
//
// # Usage
//
// Call Watch before the work and Stop after it, and pass the findings of the work to Judge with
// Usage.Busy.
//
// # Guarantees
//
// A machine is busy by causes outside of the test: other programs take a third of its processors
// and leave none idle, or a timer of the test's process is late by half a second. A slow or blocked
// test is no such cause.
//
// # Limitations
//
// The share of other programs is known on Linux only. In a container it is the share of the
// programs of the whole machine.
//
// # Concurrency
//
// A Meter is used by one goroutine. Judge is safe for concurrent use.
package machine

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// From these on a machine is too busy for a statement about time.
const (
	// busyShare is the part of the processor time that other programs take while hardly any is
	// idle. On two processors the load of the faults had 53 grants a second beside 31 %, 33 beside
	// 58 %, and 8 beside 92 %.
	busyShare = 0.3
	busyIdle  = 0.15
	// busyLate is how late a timer is. Without other programs it is late by a few milliseconds.
	busyLate = 500 * time.Millisecond
)

const (
	sampleEvery = time.Second
	// window is how long other programs must take their share. It is about the time that the tests
	// of faults allow a change of the leader or the end of a lease.
	window = 4 * time.Second
	tick   = 20 * time.Millisecond
)

// Usage is the worst that a Meter has seen.
type Usage struct {
	Others float64       // the largest share of other programs over a window, 0 to 1
	Idle   float64       // the idle share of that window
	Late   time.Duration // of a timer
}

func (u Usage) String() string {
	return fmt.Sprintf("other programs used up to %.0f %% of the processors (%.0f %% idle), "+
		"timers were late by up to %v",
		100*u.Others, 100*u.Idle, u.Late.Round(time.Millisecond))
}

// Busy returns the reason for which the machine was too busy, or an empty string.
func (u Usage) Busy() string {
	if u.Others >= busyShare && u.Idle <= busyIdle || u.Late >= busyLate {
		return u.String()
	}
	return ""
}

// A Meter measures until Stop.
type Meter struct {
	read  func() (times, bool)
	usage Usage
	end   chan struct{}
	done  sync.WaitGroup
}

// Watch starts to measure.
func Watch() *Meter { return watch(processorTimes) }

func watch(read func() (times, bool)) *Meter {
	m := &Meter{read: read, end: make(chan struct{})}
	m.done.Go(m.run)
	return m
}

// Stop ends the measurement and returns its result.
func (m *Meter) Stop() Usage {
	close(m.end)
	m.done.Wait()
	return m.usage
}

func (m *Meter) run() {
	var shares shares
	if t, ok := m.read(); ok {
		shares.add(t)
	}
	next := time.Now().Add(sampleEvery)
	for {
		asked := time.Now()
		timer := time.NewTimer(tick)
		select {
		case <-timer.C:
		case <-m.end:
			timer.Stop()
			m.usage.Others, m.usage.Idle = shares.worst()
			return
		}
		now := time.Now()
		m.usage.Late = max(m.usage.Late, now.Sub(asked)-tick)
		if now.Before(next) {
			continue
		}
		next = now.Add(sampleEvery)
		if t, ok := m.read(); ok {
			shares.add(t)
		}
	}
}

// times are processor times since some start, in the same unit.
type times struct {
	at    time.Time
	own   int64 // of this process and its descendants
	all   int64 // of all programs, and stolen by the host
	total int64 // all, and idle
}

// shares finds the window in which other programs took most.
type shares struct {
	recent       []times
	others, idle float64
}

func (s *shares) add(t times) {
	s.recent = append(s.recent, t)
	for len(s.recent) > 1 && t.at.Sub(s.recent[1].at) >= window {
		s.recent = s.recent[1:]
	}
	first := s.recent[0]
	if t.at.Sub(first.at) < window || t.total <= first.total {
		return
	}
	total := float64(t.total - first.total)
	all, own := float64(t.all-first.all), float64(t.own-first.own)
	if others := (all - own) / total; others > s.others {
		s.others, s.idle = others, 1-all/total
	}
}

func (s *shares) worst() (others, idle float64) { return s.others, s.idle }

// Judge decides about the findings of some work. A violation is wrong on any machine. A late
// finding may have no cause but a busy machine: busy is the measured reason, or empty. Judge
// returns the findings that fail the test, or why the test is void, or neither.
func Judge(violations, late []string, busy string) (failures []string, void string) {
	switch {
	case len(violations) > 0 || busy == "":
		return append(append(failures, violations...), late...), ""
	case len(late) > 0:
		return nil, fmt.Sprintf("the machine is too busy: %s; %s", busy, strings.Join(late, "; "))
	}
	return nil, ""
}
