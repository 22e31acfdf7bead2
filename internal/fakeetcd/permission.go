package fakeetcd

import (
	"cmp"
	"maps"
	"slices"
)

type role struct{ permissions []permission }

type permission struct {
	keys        keys
	read, write bool
}

// keys are the keys from one on, before another one. An open end is past all keys.
type keys struct {
	from, to string
	open     bool
}

// interval returns the keys of a range of etcd.
func interval(from, end string) keys {
	switch end {
	case "":
		return keys{from: from, to: from + "\x00"}
	case "\x00":
		return keys{from: from, open: true}
	}
	return keys{from: from, to: end}
}

// covered reports whether each of the keys is in one of the intervals. Etcd's answer for a range
// without keys may differ.
func (k keys) covered(by []keys) bool {
	slices.SortFunc(by, func(a, b keys) int { return cmp.Compare(a.from, b.from) })
	reached := k.from
	for _, next := range by {
		if next.from > reached {
			return false
		}
		if next.open || !k.open && next.to >= k.to {
			return true
		}
		reached = max(reached, next.to)
	}
	return false
}

// may returns an error if a user may not read, or with write not write, a range. A nil user may do
// everything, because authentication is off.
func (a *auth) may(u *user, write bool, from, end string) error {
	if u == nil || u.roles[root] {
		return nil
	}
	var granted []keys
	for _, name := range slices.Sorted(maps.Keys(u.roles)) {
		for _, p := range a.roles[name].permissions {
			if write && p.write || !write && p.read {
				granted = append(granted, p.keys)
			}
		}
	}
	if !interval(from, end).covered(granted) {
		return errDenied
	}
	return nil
}

// A permit returns an error if a user may not make a request.
type permit[R any] func(s *Server, u *user, r *R) error

func everybody[R any](*Server, *user, *R) error { return nil }

func admins[R any](_ *Server, u *user, _ *R) error {
	if u != nil && !u.roles[root] {
		return errDenied
	}
	return nil
}

func readers(s *Server, u *user, r *rangeRequest) error {
	return s.auth.may(u, false, string(r.Key), string(r.End))
}

func writers(s *Server, u *user, r *putRequest) error {
	if err := s.auth.may(u, true, string(r.Key), ""); err != nil {
		return err
	}
	if err := s.mayLease(u, true, int64(r.Lease)); err != nil || !r.PrevKV {
		return err
	}
	return s.auth.may(u, false, string(r.Key), "")
}

func deleters(s *Server, u *user, r *deleteRequest) error {
	err := s.auth.may(u, true, string(r.Key), string(r.End))
	if err != nil || !r.PrevKV {
		return err
	}
	return s.auth.may(u, false, string(r.Key), string(r.End))
}

// transactors checks all branches, also those that are not taken.
func transactors(s *Server, u *user, t *txnRequest) error {
	for _, c := range t.Compare {
		if err := s.auth.may(u, false, string(c.Key), string(c.End)); err != nil {
			return err
		}
	}
	for _, branch := range [][]operation{t.Success, t.Failure} {
		for _, op := range branch {
			var err error
			switch {
			case op.Range != nil:
				err = readers(s, u, op.Range)
			case op.Put != nil:
				err = writers(s, u, op.Put)
			case op.Delete != nil:
				err = deleters(s, u, op.Delete)
			case op.Txn != nil:
				err = transactors(s, u, op.Txn)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// mayLease returns an error if a user may not read or write one of a lease's keys.
func (s *Server) mayLease(u *user, write bool, id int64) error {
	l := s.store.leases[id]
	if l == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		if err := s.auth.may(u, write, key, ""); err != nil {
			return err
		}
	}
	return nil
}

func revokers(s *Server, u *user, r *leaseRequest) error {
	return s.mayLease(u, true, int64(r.ID))
}

func lookers(s *Server, u *user, r *leaseRequest) error {
	if !r.Keys {
		return nil
	}
	return s.mayLease(u, false, int64(r.ID))
}

func listers(s *Server, u *user, _ *struct{}) error {
	for id := range s.store.leases {
		if err := s.mayLease(u, false, id); err != nil {
			return err
		}
	}
	return nil
}
