package core

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// The tests of this file are not parallel, because they change the clock of the whole process.

// TestSleep: a machine that slept for less than the remaining time of the lease keeps its session,
// because it renews at once.
func TestSleep(t *testing.T) { //nolint:paralleltest // see above
	for _, slept := range []time.Duration{8 * time.Second, 10 * time.Second, 13 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := startSession(t, fakeetcd.Start(t))
			time.Sleep(500 * time.Millisecond)
			clock.Sleep(slept)
			if err := s.Err(); err != nil {
				t.Errorf("after %v: %v", slept, err)
			}
			time.Sleep(20 * time.Second)
			if err := s.Err(); err != nil {
				t.Errorf("later, after %v: %v", slept, err)
			}
		})
	}
}

// TestSleptTooLong: the next call that reads the clock ends the session. Without one its context
// ends within a second.
func TestSleptTooLong(t *testing.T) { //nolint:paralleltest // see above
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		looked, left := startSession(t, etcd), startSession(t, etcd)
		etcd.Freeze()
		clock.Sleep(15 * time.Second)
		if err := looked.Err(); !errors.Is(err, ErrExpired) {
			t.Errorf("Err = %v", err)
		}
		time.Sleep(tickEvery)
		synctest.Wait()
		if left.ctx.Err() == nil {
			t.Error("the context lives")
		}
	})
}

// TestSessionsOfAClientTickTogether: sessions of one client that began at different
// times end in the same moment after a sleep, because one timer serves all.
func TestSessionsOfAClientTickTogether(t *testing.T) { //nolint:paralleltest // see above
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		first := startSessionOf(t, c)
		time.Sleep(300 * time.Millisecond)
		second := startSessionOf(t, c)
		etcd.Freeze()
		time.Sleep(3100 * time.Millisecond) // not a whole second after the beginning of either
		clock.Sleep(15 * time.Second)
		<-first.ctx.Done()
		began := time.Now()
		<-second.ctx.Done()
		if took := time.Since(began); took != 0 {
			t.Errorf("the second looked %v later", took)
		}
	})
}

// TestNoTimerIsLeft: the timer of a client ends with its last session.
func TestNoTimerIsLeft(t *testing.T) { //nolint:paralleltest // see above
	synctest.Test(t, func(t *testing.T) {
		c := fakeetcd.Start(t).Client(t)
		first, second := startSessionOf(t, c), startSessionOf(t, c)
		left := func() bool {
			ticking.mu.Lock()
			defer ticking.mu.Unlock()
			return ticking.of[c] != nil
		}
		first.Orphan()
		one := left()
		second.Orphan()
		if none := left(); !one || none {
			t.Errorf("with one session: %v, with none: %v", one, none)
		}
	})
}

// TestAHoldIsOverdueAfterASleep: time in which the machine slept counts for the limit of a hold.
func TestAHoldIsOverdueAfterASleep(t *testing.T) { //nolint:paralleltest // see above
	synctest.Test(t, func(t *testing.T) {
		s := startSession(t, fakeetcd.Start(t))
		looked, lookedGrip := s.Hold("a", 1, func() {})
		left, leftGrip := s.Hold("b", 1, func() {})
		lookedGrip.Limit(10 * time.Second)
		leftGrip.Limit(10 * time.Second)
		time.Sleep(time.Second)
		clock.Sleep(9500 * time.Millisecond)
		if err := looked.Err(); !errors.Is(err, ErrOverdue) {
			t.Errorf("Err = %v", err)
		}
		time.Sleep(tickEvery)
		synctest.Wait()
		if left.Context().Err() == nil {
			t.Error("the context lives")
		}
	})
}
