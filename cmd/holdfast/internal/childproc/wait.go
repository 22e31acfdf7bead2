package childproc

import "time"

const (
	// clockInterval is the longest time between two looks at the clock, because timers stop while
	// the machine sleeps.
	clockInterval = time.Second
	// groupInterval is how often terminate checks whether the group is empty, because the end of a
	// grandchild is not reported.
	groupInterval = 5 * time.Millisecond
	// killMargin is how long before the deadline the command is killed, because the kernel and a
	// warning need time.
	killMargin = 100 * time.Millisecond
)

// awaitExitOrLoss returns false when the command has exited, and true when it must be ended because
// the hold is lost or about to be.
func (p *Process) awaitExitOrLoss() (lost bool) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-p.exited:
			return false
		case <-p.hold.Context().Done():
			return true
		case <-t.C:
			left := time.Until(p.hold.Deadline()) - p.grace
			if left <= 0 || !p.holdValid() {
				return true
			}
			t.Reset(min(left, clockInterval))
		}
	}
}

// holdValid reports whether the hold may be relied on. It asks the hold itself, because the loss
// may not have been reported yet.
func (p *Process) holdValid() bool {
	return p.hold.Err() == nil
}
