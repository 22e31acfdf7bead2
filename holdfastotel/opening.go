package holdfastotel

import "sync"

// opening counts the streams that were opened at each endpoint, because StreamEnded is also called
// for those that never were.
type opening struct {
	mu sync.Mutex
	at map[string]int
}

func (o *opening) add(endpoint string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at[endpoint]++
}

// remove reports whether a stream was open.
func (o *opening) remove(endpoint string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at[endpoint] == 0 {
		return false
	}
	o.at[endpoint]--
	return true
}
