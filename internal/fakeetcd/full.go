package fakeetcd

// Fill makes the server refuse puts and lease grants, like etcd under a NOSPACE alarm, or with full
// false accept them again.
func (s *Server) Fill(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// puts reports whether a branch has a put, also in a nested transaction. A full database refuses a
// transaction with a put in either branch.
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
