package member

import "strconv"

// State is the state of a [Membership].
type State int

const (
	// Away means that others do not see the member, or may stop to see it at any time. It returns
	// as soon as etcd answers.
	Away State = iota
	// Joined means that others see the member.
	Joined
	// Suspect means that others see the member, but half the time to live of its session has passed
	// without an acknowledged renewal.
	Suspect
)

// String returns "away", "joined" or "suspect".
func (s State) String() string {
	switch s {
	case Away:
		return "away"
	case Joined:
		return "joined"
	case Suspect:
		return "suspect"
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// change is a call of OnState.
type change struct {
	to  State
	err error
}

// change changes the state if it is one of from.
func (m *Membership) change(to State, err error, from ...State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range from {
		if m.state == f && m.state != to {
			m.state = to
			m.report(change{to, err})
			return
		}
	}
}

// report passes a change to OnState, in a goroutine that ends when there are no more, because a
// call that blocks must not delay the member. mu must be locked.
func (m *Membership) report(c change) {
	if m.opts.OnState == nil {
		return
	}
	m.changes = append(m.changes, c)
	if len(m.changes) > 1 {
		return // the goroutine runs
	}
	go func() {
		for {
			m.mu.Lock()
			c := m.changes[0]
			m.mu.Unlock()
			m.opts.OnState(c.to, c.err)
			m.mu.Lock()
			m.changes = m.changes[1:]
			empty := len(m.changes) == 0
			m.mu.Unlock()
			if empty {
				return
			}
		}
	}()
}
