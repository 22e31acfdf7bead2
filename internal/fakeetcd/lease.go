package fakeetcd

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

type lease struct {
	ttl   int64
	ends  time.Time
	timer *time.Timer
}

// revoke revokes a lease and reports whether it existed. mu must be held.
func (s *Server) revoke(id int64) bool {
	l := s.store.leases[id]
	if l == nil {
		return false
	}
	l.timer.Stop()
	delete(s.store.leases, id)
	s.store.expired[id] = time.Now()
	t := s.store.begin()
	for _, o := range s.store.find("\x00", "\x00") {
		if o.Lease == id {
			t.delete(&deleteRequest{Key: o.Key})
		}
	}
	s.commit(t)
	return true
}

// applyLease applies a call of the lease service. mu must be held.
func (s *Server) applyLease(path string, decoder *json.Decoder) Answer {
	var lines []byte
	for decoder.More() {
		var r struct {
			ID  int64 `json:"ID,string"`
			TTL int64 `json:"TTL,string"`
		}
		if err := decoder.Decode(&r); err != nil {
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		l := s.store.leases[r.ID]
		switch path {
		case "/lease/grant":
			if s.full {
				return noSpace()
			}
			if l != nil {
				return Error(gateway.CodeFailedPrecondition, "etcdserver: lease already exists")
			}
			ttl := time.Duration(r.TTL) * time.Second
			s.store.leases[r.ID] = &lease{r.TTL, time.Now().Add(ttl), time.AfterFunc(ttl, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.revoke(r.ID)
			})}
			return s.answer(fields{"ID": r.ID, "TTL": r.TTL})
		case "/lease/revoke":
			if !s.revoke(r.ID) {
				return Error(gateway.CodeNotFound, "etcdserver: requested lease not found")
			}
			return s.answer(fields{})
		case "/lease/timetolive":
			if l == nil {
				return s.answer(fields{"ID": r.ID, "TTL": -1})
			}
			left := int64(time.Until(l.ends) / time.Second)
			return s.answer(fields{"ID": r.ID, "TTL": left, "grantedTTL": l.ttl})
		case "/lease/keepalive":
			result := fields{"header": s.header(), "ID": r.ID}
			if l != nil {
				l.ends = time.Now().Add(time.Duration(l.ttl) * time.Second)
				l.timer.Reset(time.Until(l.ends))
				result["TTL"] = l.ttl
			}
			line, err := json.Marshal(fields{"result": result})
			if err != nil {
				return Error(gateway.CodeInternal, err.Error())
			}
			lines = append(append(lines, line...), '\n')
		default:
			return Error(gateway.CodeUnimplemented, path)
		}
	}
	return Answer{http.StatusOK, lines}
}
