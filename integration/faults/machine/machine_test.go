package machine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAViolationFailsAlsoOnABusyMachine(t *testing.T) {
	violations, late := []string{"two holders"}, []string{"a gap of 9s"}
	for _, tt := range []struct {
		name             string
		violations, late []string
		busy             string
		failures         []string
		void             bool
	}{
		{name: "nothing was found", busy: ""},
		{name: "nothing was found, busy", busy: "a compiler"},
		{name: "late", late: late, failures: late},
		{name: "late, busy", late: late, busy: "a compiler", void: true},
		{name: "wrong", violations: violations, failures: violations},
		{name: "wrong, busy", violations: violations, busy: "a compiler", failures: violations},
		{
			name: "wrong and late, busy", violations: violations, late: late, busy: "a compiler",
			failures: []string{"two holders", "a gap of 9s"},
		},
	} {
		failures, void := Judge(tt.violations, tt.late, tt.busy)
		if !slices.Equal(failures, tt.failures) || (void != "") != tt.void {
			t.Errorf("%s: fails with %q, void: %q", tt.name, failures, void)
		}
		if tt.void && (!strings.Contains(void, tt.busy) || !strings.Contains(void, late[0])) {
			t.Errorf("%s: %q does not name the reason and what was found", tt.name, void)
		}
	}
}

func TestOnlyOtherProgramsAndLateTimersMakeAMachineBusy(t *testing.T) {
	for _, tt := range []struct {
		usage Usage
		busy  bool
	}{
		{Usage{}, false},
		{Usage{Others: 0.2}, false},
		{Usage{Others: 0.7}, true},
		{Usage{Others: 0.35, Idle: 0.1}, true},
		{Usage{Others: 0.7, Idle: 0.2}, false}, // there are processors left
		{Usage{Idle: 0.9, Late: 50 * time.Millisecond}, false},
		{Usage{Idle: 0.9, Late: time.Second}, true},
	} {
		if why := tt.usage.Busy(); (why != "") != tt.busy {
			t.Errorf("%v: busy: %q", tt.usage, why)
		}
	}
}

// samples are the times of every second, of a machine with 100 units in each.
func samples(own, others []int64) (usage Usage) {
	var s shares
	at := times{at: time.Now()}
	s.add(at)
	for i := range own {
		at.at = at.at.Add(time.Second)
		at.own += own[i]
		at.all += own[i] + others[i]
		at.total += 100
		s.add(at)
	}
	usage.Others, usage.Idle = s.worst()
	return usage
}

func TestTheWorstWindowCounts(t *testing.T) {
	for _, tt := range []struct {
		name        string
		own, others []int64
		want        Usage
	}{
		{"no window is complete", []int64{0, 0}, []int64{100, 100}, Usage{}},
		{
			"the test itself works",
			[]int64{100, 100, 100, 100, 100},
			[]int64{0, 0, 0, 0, 0},
			Usage{},
		},
		{
			"others work for a moment",
			[]int64{20, 20, 20, 20, 20, 20, 20, 20},
			[]int64{0, 0, 0, 80, 0, 0, 0, 0},
			Usage{Others: 0.2, Idle: 0.6},
		},
		{
			"others work for the time of a window",
			[]int64{50, 50, 50, 20, 20, 20, 20, 50, 50},
			[]int64{10, 10, 10, 80, 80, 80, 80, 10, 10},
			Usage{Others: 0.8},
		},
	} {
		got := samples(tt.own, tt.others)
		if diff := got.Others - tt.want.Others; diff > 0.01 || diff < -0.01 {
			t.Errorf("%s: others %.2f, want %.2f", tt.name, got.Others, tt.want.Others)
		}
		if diff := got.Idle - tt.want.Idle; tt.want.Others > 0 && (diff > 0.01 || diff < -0.01) {
			t.Errorf("%s: idle %.2f, want %.2f", tt.name, got.Idle, tt.want.Idle)
		}
	}
}

// TestTheMeterTakesTheSharesOfItsWindows feeds the meter with a machine that another program uses.
func TestTheMeterTakesTheSharesOfItsWindows(t *testing.T) {
	full := make(chan struct{})
	n := int64(0)
	start := time.Now()
	m := watch(func() (times, bool) {
		n++
		if n == 3 {
			close(full)
		}
		return times{
			at: start.Add(time.Duration(n) * window), own: n * 10, all: n * 100, total: n * 100,
		}, true
	})
	<-full
	if u := m.Stop(); u.Others < 0.89 || u.Others > 0.91 || u.Busy() == "" {
		t.Errorf("%v", u)
	}
}
