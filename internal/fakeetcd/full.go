package fakeetcd

import "github.com/holdfast-go/holdfast/gateway"

// Fill has the database refuse all that puts a key or grants a lease, as etcd's does under a NOSPACE alarm.
func (s *Server) Fill(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

func noSpace() Answer {
	return Error(gateway.CodeResourceExhausted, "etcdserver: mvcc: database space exceeded")
}

// puts: a full database refuses a transaction for a put in either branch, nested ones included.
func puts(branches ...[]operation) bool {
	for _, ops := range branches {
		for _, op := range ops {
			if op.Put != nil || op.Txn != nil && puts(op.Txn.Success, op.Txn.Failure) {
				return true
			}
		}
	}
	return false
}
