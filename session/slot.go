package session

import "strconv"

// Slot reserves a key for a member of a line: prefix and the lease in hexadecimal, as clientv3 names its keys, and "-n"
// behind it for all but the first that the session has there at a time. Keys are used again, since each new one costs
// the server memory until the next compaction. free must be called, once, when the key is known not to
// exist.
func (s *Session) Slot(prefix string) (key string, free func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.slots[prefix]
	if used == nil {
		used = map[int]bool{}
		s.slots[prefix] = used
	}
	n := 0
	for used[n] {
		n++
	}
	used[n] = true
	key = prefix + s.lease.String()
	if n > 0 {
		key += "-" + strconv.Itoa(n)
	}
	return key, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(used, n); len(used) == 0 {
			delete(s.slots, prefix)
		}
	}
}
