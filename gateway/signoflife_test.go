package gateway_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// life plays a member that answers some kinds of messages, and counts the messages of a client.
type life struct {
	st        *stream
	reports   bool          // it answers progress requests
	confirms  bool          // it confirms watches
	delay     time.Duration // of its answers
	rev       atomic.Int64  // of its answers, if above 5
	progress  int
	creates   int
	lastHeard time.Time
}

func (l *life) serve(d time.Duration) {
	for end := time.After(d); ; {
		select {
		case m := <-l.st.messages:
			switch {
			case m.Progress != nil:
				l.progress++
				if l.reports {
					l.say(progress(max(5, l.rev.Load())))
				}
			case m.Create != nil:
				l.creates++
				if l.confirms {
					l.say(created(m.Create.ID, max(5, l.rev.Load())))
				}
			case m.Cancel != nil && l.confirms:
				l.say(line(5, `"watch_id":"%d","canceled":true`, m.Cancel.ID))
			}
		case <-l.st.gone:
			return
		case <-end:
			return
		}
	}
}

func (l *life) say(lines ...string) {
	if l.delay > 0 {
		time.AfterFunc(l.delay, func() { l.st.write(lines...) })
		return
	}
	l.st.write(lines...)
	l.lastHeard = time.Now()
}

func live(t *testing.T) (*watchServer, *life) {
	t.Helper()
	s := newWatchServer(t, 2, nil)
	_, _ = watch(t, s.client(t), "a")
	l := &life{st: s.next(t), reports: true, confirms: true}
	l.st.accept("a", 0, 5)
	return s, l
}

// TestSilentStreamIsAskedForProgressAlone: a silent stream costs one message and its answer every 2
// s, after the first probe. A stream that ceases to answer them is probed with a watch.
func TestSilentStreamIsAskedForProgressAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, l := live(t)
		l.serve(time.Minute + time.Second)
		if l.progress != 30 || l.creates != 1 {
			t.Errorf("%d progress requests and %d probes in a minute", l.progress, l.creates)
		}
		l.reports = false // as while a watch is catching up
		l.serve(10 * time.Second)
		if l.creates < 3 {
			t.Errorf("%d probes of a stream that reports no progress", l.creates)
		}
		s.none(t)
	})
}

// TestSilentStreamIsLeftInTime: a stream that answered progress requests is left 4 s after its last
// sign of life, as any other, also if it goes on to confirm no watch or to answer nothing at all.
func TestSilentStreamIsLeftInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, l := live(t)
		l.serve(11 * time.Second)
		l.reports, l.confirms = false, false
		go l.serve(time.Minute)
		st2 := s.next(t)
		took := time.Since(l.lastHeard)
		if took < 4*time.Second || took > 4100*time.Millisecond || st2.member == l.st.member {
			t.Errorf("left %v after the last sign of life", took)
		}
		l.st.hungUp()
	})
}

// TestSlowStreamIsKept: an answer to a progress request that takes longer than the pause before the
// full probe leaves the probe its time.
func TestSlowStreamIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, l := live(t)
		l.serve(5 * time.Second)
		l.delay = 1400 * time.Millisecond
		l.serve(time.Minute)
		if l.creates < 5 {
			t.Errorf("%d probes", l.creates)
		}
		s.none(t)
	})
}

// TestPatientWatchesAreAskedLessOften: a stream that only has patient watches costs a message and
// its answer every 30 s, and any other every 2 s.
func TestPatientWatchesAreAskedLessOften(t *testing.T) {
	t.Parallel()
	patient := []gateway.Option{gateway.Patient(), gateway.AtRevision(3)}
	for name, tt := range map[string]struct {
		watches [][]gateway.Option
		asked   int // in a minute, at most
	}{
		"patient":     {[][]gateway.Option{patient}, 2},
		"two":         {[][]gateway.Option{patient, patient}, 2},
		"not patient": {[][]gateway.Option{{gateway.AtRevision(3)}}, 30},
		"both":        {[][]gateway.Option{patient, {gateway.AtRevision(3)}}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newWatchServer(t, 1, nil)
				c := s.client(t)
				for _, opts := range tt.watches {
					_, _ = watch(t, c, "a", opts...)
				}
				l := &life{st: s.next(t), reports: true, confirms: true}
				l.serve(time.Second)
				l.serve(time.Minute)
				if l.progress > tt.asked || l.progress < tt.asked-1 {
					t.Errorf("%d progress requests in a minute", l.progress)
				}
			})
		})
	}
}

// TestAPatientWatchGetsCompany: a stream of a patient watch that becomes silent is left as fast as
// any other once another watch needs it, and is asked less often again after that watch has ended.
func TestAPatientWatchGetsCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newWatchServer(t, 2, nil)
		c := s.client(t)
		_, _ = watch(t, c, "a", gateway.Patient())
		l := &life{st: s.next(t), reports: true, confirms: true}
		l.serve(35 * time.Second)
		_, stop := watch(t, c, "b")
		l.serve(time.Second)
		stop()
		l.progress = 0
		l.serve(time.Minute)
		if l.progress > 3 {
			t.Errorf("%d progress requests in a minute", l.progress)
		}
		_, _ = watch(t, c, "b")
		l.serve(time.Second)
		l.reports, l.confirms = false, false
		go l.serve(time.Minute)
		st2 := s.next(t)
		if took := time.Since(l.lastHeard); took > 5100*time.Millisecond || st2.member == l.st.member {
			t.Errorf("left %v after the last sign of life", took)
		}
	})
}
