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
var handlers = map[string]func(s *Server, c *Call) Answer{
	"/kv/range":         handle(readers, (*Server).get),
	"/kv/put":           handle(writers, (*Server).put),
	"/kv/deleterange":   handle(deleters, (*Server).delete),
	"/kv/txn":           handle(transactors, (*Server).txn),
	"/kv/compaction":    handle(admins, (*Server).compact),
	"/lease/grant":      handle(everybody, (*Server).grant),
	"/lease/revoke":     handle(revokers, (*Server).revokeLease),
	"/lease/timetolive": handle(lookers, (*Server).timeToLive),
	"/lease/leases":     handle(listers, (*Server).leases),
	"/lease/keepalive":  (*Server).keepAlive,

	"/auth/enable":        handle(admins, (*Server).enable),
	"/auth/disable":       handle(admins, (*Server).disable),
	"/auth/user/add":      handle(admins, (*Server).addUser),
	"/auth/user/changepw": handle(admins, (*Server).changePassword),
	"/auth/user/grant":    handle(admins, (*Server).grantRole),
	"/auth/role/add":      handle(admins, (*Server).addRole),
	"/auth/role/grant":    handle(admins, (*Server).grantPermission),
	logIn:                 handle(everybody, (*Server).authenticate),
}

// logIn is the path of the call that needs no token.
const logIn = "/auth/authenticate"

func (s *Server) apply(c *Call) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if handler := handlers[c.Path]; handler != nil {
		return handler(s, c)
	}
	return Error(gateway.CodeUnimplemented, c.Path)
}

// handle makes a handler of a method that reads a request of permitted users and returns its
// answer.
func handle[R any, A interface{ head() *header }](
	may permit[R], do func(*Server, *R) (A, error),
) func(*Server, *Call) Answer {
	return func(s *Server, c *Call) Answer {
		var r R
		err := json.NewDecoder(bytes.NewReader(c.Body)).Decode(&r)
		if err != nil && !errors.Is(err, io.EOF) { // an empty body is an empty request
			return Error(gateway.CodeInvalidArgument, err.Error())
		}
		if checked, ok := any(&r).(interface{ check() error }); ok {
			if err := checked.check(); err != nil {
				return refuse(err)
			}
		}
		if c.Path != logIn {
			u, err := s.auth.whoIs(c.token)
			if err == nil {
				err = may(s, u, &r)
			}
			if err != nil {
				return refuse(err)
			}
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
	if err := s.store.checkRevision(int64(r.Revision)); err != nil {
		return nil, err
	}
	return s.store.begin().get(r), nil
}

func (s *Server) put(r *putRequest) (*putAnswer, error) {
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
	t := s.store.begin()
	out := t.delete(r)
	s.commit(t)
	return out, nil
}

func (s *Server) txn(r *txnRequest) (*txnAnswer, error) {
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
