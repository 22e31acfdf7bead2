package core

import (
	"slices"
	"strconv"
	"strings"
)

// ReserveKey reserves a key for a member of a line: the name, a slash and the lease in hexadecimal,
// as clientv3 names its keys. Each further key that the session has there at the same time ends in
// "-n". The keys of a resumed session end in "-epoch-n", so that none of them is a key that an
// earlier process may have left. Keys are reused, because each new key costs the server memory
// until the next compaction. others is the number of other keys that the session has reserved
// there. free must be called, once, when the key is known not to exist.
func (s *Session) ReserveKey(name string) (key string, others int, free func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.slots[name]
	n := slices.Index(used, false)
	if n < 0 {
		n = len(used)
		used = append(used, false)
		s.slots[name] = used
	}
	used[n] = true
	number := ""
	if n > 0 || s.born > 0 {
		number = "-" + strconv.Itoa(n)
	}
	for i, taken := range used {
		if taken && i != n {
			others++
		}
	}
	return name + "/" + s.incarnation + number, others, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if used := s.slots[name]; n < len(used) {
			if used[n] = false; !slices.Contains(used, true) {
				delete(s.slots, name)
			}
		}
	}
}

// AdoptKeys returns the keys, out of keys below prefix, that earlier processes of the session have
// reserved by [Session.ReserveKey], also those to which a line has added a 0 before the lease. It
// returns each key once.
func (s *Session) AdoptKeys(prefix string, keys []string) (taken []string) {
	if s.born == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		name, below := strings.CutPrefix(key, prefix)
		name = strings.TrimPrefix(name, "0")
		number, ok := strings.CutPrefix(name, s.lease.String())
		own, ours := strings.CutPrefix(name, s.incarnation+"-")
		ours = ours && !strings.HasPrefix(own, "p") // else the mark of an earlier key
		earlier := below && ok && (number == "" || number[0] == '-') && !ours
		if earlier && !s.inherited[key] {
			s.inherited[key] = true
			taken = append(taken, key)
		}
	}
	return taken
}
