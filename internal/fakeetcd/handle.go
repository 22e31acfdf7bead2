package fakeetcd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/holdfast-go/holdfast/gateway"
)

// handlers are the calls of etcd that have one answer, by the path below /v3. The server's mu is
// held when they are called.
var handlers = map[string]func(s *Server, body []byte) Answer{
	"/kv/range":         handle((*Server).get),
	"/kv/put":           handle((*Server).put),
	"/kv/deleterange":   handle((*Server).delete),
	"/kv/txn":           handle((*Server).txn),
	"/kv/compaction":    handle((*Server).compact),
	"/lease/grant":      handle((*Server).grant),
	"/lease/revoke":     handle((*Server).revokeLease),
	"/lease/timetolive": handle((*Server).timeToLive),
	"/lease/leases":     handle((*Server).leases),
	"/lease/keepalive":  (*Server).keepAlive,
}

func (s *Server) apply(path string, body []byte) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if handler := handlers[path]; handler != nil {
		return handler(s, body)
	}
	return Error(gateway.CodeUnimplemented, path)
}

// handle makes a handler of a method that reads a request and returns its answer.
func handle[R any, A interface{ head() *header }](
	do func(*Server, *R) (A, error),
) func(*Server, []byte) Answer {
	return func(s *Server, body []byte) Answer {
		var r R
		err := json.NewDecoder(bytes.NewReader(body)).Decode(&r)
		if err != nil && !errors.Is(err, io.EOF) { // an empty body is an empty request
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		out, err := do(s, &r)
		if err != nil {
			return refuse(err)
		}
		*out.head() = s.header()
		text, err := json.Marshal(out)
		if err != nil {
			return Error(gateway.CodeInternal, err.Error())
		}
		return Answer{http.StatusOK, text}
	}
}

func refuse(err error) Answer {
	if r, ok := errors.AsType[*refusal](err); ok {
		return Error(r.code, "etcdserver: "+r.message)
	}
	return Error(gateway.CodeInternal, err.Error())
}

func (s *Server) header() header {
	return header{Cluster: s.cluster, Member: member, Revision: s.store.rev, Term: term}
}

func (s *Server) get(r *rangeRequest) (*rangeAnswer, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := s.store.checkRevision(int64(r.Revision)); err != nil {
		return nil, err
	}
	return s.store.begin().get(r), nil
}

func (s *Server) put(r *putRequest) (*putAnswer, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if s.full {
		return nil, errNoSpace
	}
	if err := s.store.checkLease(r); err != nil { // in a transaction etcd checks the key first
		return nil, err
	}
	if err := s.store.checkKey(r); err != nil {
		return nil, err
	}
	t := s.store.begin()
	out := t.put(r)
	s.commit(t)
	return out, nil
}

func (s *Server) delete(r *deleteRequest) (*deleteAnswer, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	t := s.store.begin()
	out := t.delete(r)
	s.commit(t)
	return out, nil
}

func (s *Server) txn(r *txnRequest) (*txnAnswer, error) {
	if err := r.check(maxOps); err != nil {
		return nil, err
	}
	for _, branch := range [][]operation{r.Success, r.Failure} {
		if _, err := checkDuplicates(branch); err != nil {
			return nil, err
		}
	}
	if s.full && puts(r.Success, r.Failure) {
		return nil, errNoSpace
	}
	s.store.decide(r)
	if err := s.store.checkPlan(r); err != nil {
		return nil, err
	}
	t := s.store.begin()
	out := t.txn(r)
	s.commit(t)
	return out, nil
}

func (s *Server) compact(r *compactRequest) (*answer, error) {
	switch rev := int64(r.Revision); {
	case rev <= s.store.compacted:
		return nil, errCompacted
	case rev > s.store.rev:
		return nil, errFuture
	default:
		s.store.compact(rev)
		return &answer{}, nil
	}
}
