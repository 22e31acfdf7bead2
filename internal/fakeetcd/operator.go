package fakeetcd

import (
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Expiry returns the time at which a lease expired or was revoked, or the zero time.
func (s *Server) Expiry(id gateway.LeaseID) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.expired[int64(id)]
}

// Get returns a key. ok is false if the key does not exist.
func (s *Server) Get(key string) (kv gateway.KeyValue, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.store.at(key, s.store.rev)
	if !ok {
		return gateway.KeyValue{}, false
	}
	return gateway.KeyValue{
		Key: key, Value: o.Value,
		CreateRevision: o.Create, ModRevision: o.Mod, Version: o.Version,
		Lease: gateway.LeaseID(o.Lease),
	}, true
}

// Keys returns the keys with a prefix, in order.
func (s *Server) Keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, o := range s.store.find(prefix, prefixEnd(prefix), s.store.rev) {
		keys = append(keys, string(o.Key))
	}
	return keys
}

// prefixEnd returns the end of the range of a prefix, which must not be empty or end in 0xff.
func prefixEnd(prefix string) string {
	b := []byte(prefix)
	b[len(b)-1]++
	return string(b)
}

// Put puts a key without a lease, like an operator.
func (s *Server) Put(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.store.begin()
	t.put(&putRequest{Key: []byte(key), Value: []byte(value)})
	s.commit(t)
}

// Delete deletes a key, like an operator.
func (s *Server) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.store.begin()
	t.delete(&deleteRequest{Key: []byte(key)})
	s.commit(t)
}

// Revoke revokes a lease and deletes its keys.
func (s *Server) Revoke(id gateway.LeaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke(int64(id))
}

// Compact puts the key of one zero byte and compacts the history before that. Etcd still serves a
// watch from the revision of a compaction, so that without the put a watch that has missed only the
// newest revision would not notice.
func (s *Server) Compact() {
	s.Put("\x00", "")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.compact(s.store.rev)
}

// Revision returns the current revision.
func (s *Server) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.rev
}

// Leases returns the number of live leases.
func (s *Server) Leases() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.store.leases)
}

// Touch puts a key again with its value and lease. The key must exist.
func (s *Server) Touch(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.store.begin()
	t.put(&putRequest{Key: []byte(key), IgnoreValue: true, IgnoreLease: true})
	s.commit(t)
}
