package gateway

import "sync"

// notes are calls of hooks and loggers for goroutines that all watches, or all leases, of a client
// depend on. They run one after the other in a goroutine of their own, because a program's hook may
// block.
type notes struct {
	mu      sync.Mutex
	waiting []func()
	running bool
}

// maxNotes bounds the notes that wait behind one that blocks; further ones are dropped.
const maxNotes = 100

// note is for goroutines of the client. Close waits for them and for their notes.
func (c *Client) note(fn func()) {
	n := c.notes
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= maxNotes {
		return
	}
	n.waiting = append(n.waiting, fn)
	if !n.running {
		n.running = true
		c.wg.Go(n.run)
	}
}

func (n *notes) run() {
	for {
		n.mu.Lock()
		if n.running = len(n.waiting) > 0; !n.running {
			n.mu.Unlock()
			return
		}
		fn := n.waiting[0]
		n.waiting = n.waiting[1:]
		n.mu.Unlock()
		fn()
	}
}
