package holdfasttest

// Stop ends the server like SIGKILL, until [Server.Start]: connections break, and new ones are
// refused. The data stays. No lease expires meanwhile, because there is no leader to revoke it.
func (s *Server) Stop() { s.etcd.Stop() }

// Start ends [Server.Stop]. All leases have their full time to live again, as after each election
// of a leader. It has no effect if the server runs.
func (s *Server) Start() { s.etcd.Resume() }

// CutStreams breaks the streams of all watches. Clients resume them.
func (s *Server) CutStreams() { s.etcd.BreakWatches(false) }

// Restore restarts the server with the data of a revision under a new cluster ID, like a restore
// from a backup. [Server.Revision] restores all data. Leases stay. It ends the test if the revision
// is compacted or does not exist.
func (s *Server) Restore(rev int64) {
	s.tb.Helper()
	if err := s.etcd.Restore(rev); err != nil {
		s.tb.Fatalf("holdfasttest: restore revision %d: %v", rev, err)
	}
}
