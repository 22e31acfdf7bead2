package fakeetcd

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

type lease struct {
	ttl     time.Duration
	expires time.Time
	timer   *time.Timer
	keys    map[string]struct{}
}

// The bounds of a time to live in seconds: etcd raises shorter ones, and refuses longer ones.
const (
	minTTL = 2
	maxTTL = 9_000_000_000
)

func (l *lease) renew() {
	l.timer.Reset(l.ttl)
	l.expires = time.Now().Add(l.ttl)
}

// attach binds a key to its lease.
func (s *store) attach(o object) {
	if l := s.leases[o.Lease]; l != nil {
		l.keys[string(o.Key)] = struct{}{}
	}
}

// detach unbinds a key from its lease.
func (s *store) detach(o object) {
	if l := s.leases[o.Lease]; l != nil {
		delete(l.keys, string(o.Key))
	}
}

// revoke revokes a lease and reports whether it existed. mu must be held.
func (s *Server) revoke(id int64) bool {
	l := s.store.leases[id]
	if l == nil {
		return false
	}
	l.timer.Stop()
	s.store.expired[id] = time.Now()
	t := s.store.begin()
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		t.delete(&deleteRequest{Key: []byte(key)})
	}
	delete(s.store.leases, id)
	s.commit(t)
	return true
}

type leaseRequest struct {
	ID   etcdjson.Int64 `json:"ID"`
	TTL  etcdjson.Int64 `json:"TTL"`
	Keys bool           `json:"keys"`
}

type leaseAnswer struct {
	answer
	ID      int64    `json:"ID,omitempty,string"`
	TTL     int64    `json:"TTL,omitempty,string"`
	Granted int64    `json:"grantedTTL,omitempty,string"`
	Keys    [][]byte `json:"keys,omitempty"`
}

func (s *Server) grant(r *leaseRequest) (*leaseAnswer, error) {
	id, ttl := int64(r.ID), max(int64(r.TTL), minTTL)
	for id == 0 || r.ID == 0 && s.store.leases[id] != nil {
		id = rand.Int64() //nolint:gosec // an ID in a test
	}
	switch {
	case s.full:
		return nil, errNoSpace
	case ttl > maxTTL:
		return nil, errTTLTooLarge
	case s.store.leases[id] != nil:
		return nil, errLeaseExists
	}
	l := &lease{ttl: time.Duration(ttl) * time.Second, keys: map[string]struct{}{}}
	l.timer = time.AfterFunc(l.ttl, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.store.leases[id] == l && !s.dead && !s.down {
			s.revoke(id)
		}
	})
	l.expires = time.Now().Add(l.ttl)
	s.store.leases[id] = l
	return &leaseAnswer{ID: id, TTL: ttl}, nil
}

func (s *Server) revokeLease(r *leaseRequest) (*answer, error) {
	if !s.revoke(int64(r.ID)) {
		return nil, errLeaseNotFound
	}
	return &answer{}, nil
}

func (s *Server) timeToLive(r *leaseRequest) (*leaseAnswer, error) {
	l := s.store.leases[int64(r.ID)]
	if l == nil {
		return &leaseAnswer{ID: int64(r.ID), TTL: -1}, nil
	}
	out := &leaseAnswer{
		ID: int64(r.ID), Granted: int64(l.ttl / time.Second),
		TTL: int64(time.Until(l.expires) / time.Second),
	}
	if r.Keys {
		for _, key := range slices.Sorted(maps.Keys(l.keys)) {
			out.Keys = append(out.Keys, []byte(key))
		}
	}
	return out, nil
}

type leasesAnswer struct {
	answer
	Leases []leaseID `json:"leases,omitempty"`
}

type leaseID struct {
	ID int64 `json:"ID,string"`
}

func (s *Server) leases(*struct{}) (*leasesAnswer, error) {
	out := &leasesAnswer{}
	for _, id := range slices.Sorted(maps.Keys(s.store.leases)) {
		out.Leases = append(out.Leases, leaseID{id})
	}
	return out, nil
}

// keepAlive renews the leases of a stream, which has one request and one line of the answer for
// each. A lease that the user may not renew ends the stream.
func (s *Server) keepAlive(c *Call) Answer {
	u, err := s.auth.whoIs(c.token)
	if err != nil {
		return refuseStream(nil, err)
	}
	var lines []byte
	for decoder := json.NewDecoder(bytes.NewReader(c.Body)); decoder.More(); {
		var r leaseRequest
		if err := decoder.Decode(&r); err != nil {
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		if err := revokers(s, u, &r); err != nil {
			return refuseStream(lines, err)
		}
		out := &leaseAnswer{answer: answer{s.header()}, ID: int64(r.ID)}
		if l := s.store.leases[int64(r.ID)]; l != nil {
			l.renew()
			out.TTL = int64(l.ttl / time.Second)
		}
		line, err := json.Marshal(fields{"result": out})
		if err != nil {
			return Error(gateway.CodeInternal, err.Error())
		}
		lines = append(append(lines, line...), '\n')
	}
	return Answer{http.StatusOK, lines}
}

// refuseStream ends a stream with an error after the lines that were sent.
func refuseStream(lines []byte, err error) Answer {
	a := refuse(err)
	if len(lines) > 0 {
		a.Status = http.StatusOK
	}
	a.Body = slices.Concat(lines, []byte(`{"error":`), a.Body, []byte("}\n"))
	return a
}
