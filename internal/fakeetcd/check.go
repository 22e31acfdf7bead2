package fakeetcd

import (
	"github.com/holdfast-go/holdfast/gateway"
)

// refusal is an error of etcd.
type refusal struct {
	code    gateway.Code
	message string
}

func (r *refusal) Error() string { return r.message }

// reason returns the text in the answer to a refused watch.
func (r *refusal) reason() string {
	name := map[gateway.Code]string{
		gateway.CodeInvalidArgument:  "InvalidArgument",
		gateway.CodeUnauthenticated:  "Unauthenticated",
		gateway.CodePermissionDenied: "PermissionDenied",
	}[r.code]
	return "rpc error: code = " + name + " desc = etcdserver: " + r.message
}

var (
	errEmptyKey      = &refusal{gateway.CodeInvalidArgument, "key is not provided"}
	errKeyNotFound   = &refusal{gateway.CodeInvalidArgument, "key not found"}
	errValueProvided = &refusal{gateway.CodeInvalidArgument, "value is provided"}
	errLeaseProvided = &refusal{gateway.CodeInvalidArgument, "lease is provided"}
	errTooManyOps    = &refusal{
		gateway.CodeInvalidArgument, "too many operations in txn request",
	}
	errDuplicateKey = &refusal{
		gateway.CodeInvalidArgument, "duplicate key given in txn request",
	}
	errCompacted = &refusal{
		gateway.CodeOutOfRange, "mvcc: required revision has been compacted",
	}
	errFuture = &refusal{
		gateway.CodeOutOfRange, "mvcc: required revision is a future revision",
	}
	errNoSpace       = &refusal{gateway.CodeResourceExhausted, "mvcc: database space exceeded"}
	errLeaseNotFound = &refusal{gateway.CodeNotFound, "requested lease not found"}
	errLeaseExists   = &refusal{gateway.CodeFailedPrecondition, "lease already exists"}
	errTTLTooLarge   = &refusal{gateway.CodeOutOfRange, "too large lease TTL"}
)

// maxOps is etcd's default for the operations of a transaction. Each level of nested ones has the
// rest of the level above.
const maxOps = 128

func (r *rangeRequest) check() error {
	if len(r.Key) == 0 {
		return errEmptyKey
	}
	return nil
}

func (r *putRequest) check() error {
	switch {
	case len(r.Key) == 0:
		return errEmptyKey
	case r.IgnoreValue && len(r.Value) > 0:
		return errValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return errLeaseProvided
	}
	return nil
}

func (r *deleteRequest) check() error {
	if len(r.Key) == 0 {
		return errEmptyKey
	}
	return nil
}

func (t *txnRequest) check() error {
	if err := t.checkOps(maxOps); err != nil {
		return err
	}
	for _, branch := range [][]operation{t.Success, t.Failure} {
		if _, err := checkDuplicates(branch); err != nil {
			return err
		}
	}
	return nil
}

func (t *txnRequest) checkOps(limit int) error {
	size := max(len(t.Compare), len(t.Success), len(t.Failure))
	if size > limit {
		return errTooManyOps
	}
	for _, c := range t.Compare {
		if len(c.Key) == 0 {
			return errEmptyKey
		}
	}
	for _, ops := range [][]operation{t.Success, t.Failure} {
		for _, op := range ops {
			if err := op.check(limit - size); err != nil {
				return err
			}
		}
	}
	return nil
}

func (op *operation) check(limit int) error {
	switch {
	case op.Range != nil:
		return op.Range.check()
	case op.Put != nil:
		return op.Put.check()
	case op.Delete != nil:
		return op.Delete.check()
	case op.Txn != nil:
		return op.Txn.checkOps(limit)
	}
	return errKeyNotFound
}

// checkRevision returns an error if a read at the revision is impossible; 0 is the newest.
func (s *store) checkRevision(rev int64) error {
	switch {
	case rev <= 0:
		return nil
	case rev > s.rev:
		return errFuture
	case rev < s.compacted:
		return errCompacted
	}
	return nil
}

// checkLease returns an error if the put's lease is missing.
func (s *store) checkLease(r *putRequest) error {
	if r.Lease != 0 && s.leases[int64(r.Lease)] == nil {
		return errLeaseNotFound
	}
	return nil
}

// checkKey returns an error if the key that a put builds on is missing.
func (s *store) checkKey(r *putRequest) error {
	if _, ok := s.at(string(r.Key), s.rev); !ok && (r.IgnoreValue || r.IgnoreLease) {
		return errKeyNotFound
	}
	return nil
}

// checkPlan returns an error if an operation of the chosen branches cannot be applied. Nothing has
// been applied then.
func (s *store) checkPlan(t *txnRequest) error {
	for _, op := range t.branch() {
		var err error
		switch {
		case op.Range != nil:
			err = s.checkRevision(int64(op.Range.Revision))
		case op.Put != nil:
			if err = s.checkKey(op.Put); err == nil {
				err = s.checkLease(op.Put)
			}
		case op.Txn != nil:
			err = s.checkPlan(op.Txn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
