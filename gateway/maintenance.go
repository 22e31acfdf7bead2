package gateway

import (
	"context"
	"strings"
)

// StatusResponse is how one member sees itself and the cluster.
type StatusResponse struct {
	Header
	Version          string // of the member: "3.6.16"
	StorageVersion   string // of the database; empty before etcd 3.6
	DBSize           int64  // bytes on disk
	DBSizeInUse      int64  // bytes of them in use; Defragment gives back the rest
	DBSizeQuota      int64  // bytes at which NOSPACE is raised; 0 before etcd 3.6
	Leader           uint64 // member ID; 0: it knows of none
	RaftIndex        uint64 // committed
	RaftAppliedIndex uint64
	IsLearner        bool
	Errors           []string // "etcdserver: no leader", raised alarms
	Downgrade        DowngradeInfo
}

// DowngradeInfo tells whether the cluster is being downgraded, and to which version. It is empty before etcd 3.6.
type DowngradeInfo struct {
	Enabled bool
	Target  string
}

// Status asks one member for its status. endpoint is a URL as in [Config.Endpoints], one of the client's or another; the
// empty string is the endpoint in use. It asks once. A member without a leader answers too.
func (c *Client) Status(ctx context.Context, endpoint string) (*StatusResponse, error) {
	var out *StatusResponse
	r := &call{op: "status", path: "/maintenance/status", local: true}
	err := visitor(ctx, c, endpoint, r, struct{}{}, func(a *wireStatus) (wireHeader, error) {
		out = a.public()
		return a.Header, nil
	})
	return out, err
}

// Defragment makes one member (see [Client.Status]) rewrite its database, which gives unused space back to the disk. The
// member serves nothing meanwhile, for seconds per gigabyte: go from member to member, the leader last. Only ctx bounds it.
// When its fate is unknown it returns ErrUncertain; it may be repeated.
func (c *Client) Defragment(ctx context.Context, endpoint string) error {
	r := &call{op: "defragment", path: "/maintenance/defragment", local: true, write: true, timeout: patient}
	return visitor(ctx, c, endpoint, r, struct{}{}, headerOnly)
}

// HashResponse answers Hash.
type HashResponse struct {
	Header
	Hash uint32
}

// Hash gives a checksum of the whole database of one member (see [Client.Status]), for tests of etcd itself: healthy members
// may differ. To compare members use [Client.HashKV]. Only ctx bounds it.
func (c *Client) Hash(ctx context.Context, endpoint string) (*HashResponse, error) {
	var out *HashResponse
	r := &call{op: "hash", path: "/maintenance/hash", local: true, timeout: patient}
	err := visitor(ctx, c, endpoint, r, struct{}{}, func(a *wireHash) (wireHeader, error) {
		out = &HashResponse{Header: a.Header.public(), Hash: a.Hash}
		return a.Header, nil
	})
	return out, err
}

// HashKVResponse answers HashKV. Two members whose CompactRevision is the same must have the same Hash.
type HashKVResponse struct {
	Header
	Hash            uint32
	CompactRevision int64
	HashRevision    int64 // up to which it was made; 0 before etcd 3.6
}

// HashKV gives a checksum of the keys and their history, up to a revision, of one member (see [Client.Status]). Revision 0
// is that member's newest. A revision that was compacted is ErrCompacted. Only ctx bounds it. The gateway of etcd 3.4 does
// not have it: [errors.ErrUnsupported].
func (c *Client) HashKV(ctx context.Context, endpoint string, rev int64) (*HashKVResponse, error) {
	const op = "hash kv"
	if rev < 0 {
		return nil, invalid(op, "negative revision")
	}
	type request struct {
		Revision int64 `json:"revision,omitempty,string"`
	}
	var out *HashKVResponse
	r := &call{op: op, path: "/maintenance/hashkv", local: true, timeout: patient}
	err := visitor(ctx, c, endpoint, r, request{rev}, func(a *wireHash) (wireHeader, error) {
		out = &HashKVResponse{
			Header: a.Header.public(), Hash: a.Hash,
			CompactRevision: int64(a.CompactRevision), HashRevision: int64(a.HashRevision),
		}
		return a.Header, nil
	})
	return out, err
}

// MoveLeader makes a member the leader. Only the leader can do it: each endpoint is asked in turn until one has, so the
// leader must be among them. It may be repeated; a member that leads already is a success. An ID that is no voting
// member's is an [*Error] of CodeFailedPrecondition.
func (c *Client) MoveLeader(ctx context.Context, id uint64) error {
	const op = "move leader"
	if id == 0 {
		return invalid(op, "no member ID")
	}
	type request struct {
		TargetID uint64 `json:"targetID,string"`
	}
	next := func(e *Error) bool { return e.says("not leader") }
	return c.inTurn(ctx, op, next, func(ctx context.Context, ep *endpoint) error {
		r := &call{op: op, path: "/maintenance/transfer-leadership", local: true, write: true, timeout: adminTimeout}
		if err := prepare(r, request{id}, headerOnly); err != nil {
			return err
		}
		return c.at(ctx, ep, r)
	})
}

// DowngradeAction is what Downgrade does.
type DowngradeAction string

// The actions of Downgrade.
const (
	DowngradeValidate DowngradeAction = "VALIDATE" // asks whether it would be possible
	DowngradeEnable   DowngradeAction = "ENABLE"   // begins it: members of the target version may join
	DowngradeCancel   DowngradeAction = "CANCEL"   // calls it off
)

// Downgrade prepares the cluster for members of an older version, "3.5" say; one minor version at a time. The target is
// empty for DowngradeCancel. It returns the version that the cluster speaks. When the fate of DowngradeEnable or
// DowngradeCancel is unknown it returns ErrUncertain; so it does on etcd 3.5, which begins and never answers. What etcd does
// not allow is an [*Error] of CodeFailedPrecondition or ErrInvalid; etcd 3.4 has no such call: [errors.ErrUnsupported].
func (c *Client) Downgrade(ctx context.Context, action DowngradeAction, target string) (cluster string, err error) {
	const op = "downgrade"
	switch action {
	case DowngradeValidate, DowngradeEnable:
		if strings.TrimSpace(target) == "" {
			return "", invalid(op, "no target version")
		}
	case DowngradeCancel:
	default: // etcd 3.6 would take it for a validation
		return "", invalid(op, "no such action")
	}
	type request struct {
		Action  DowngradeAction `json:"action"`
		Version string          `json:"version,omitempty"`
	}
	validate := action == DowngradeValidate
	r := &call{op: op, path: "/maintenance/downgrade", write: !validate, repeat: validate}
	if !validate {
		r.timeout = adminTimeout
	}
	err = unary(ctx, c, r, request{action, target}, func(a *wireDowngrade) (wireHeader, error) {
		cluster = a.Version
		return a.Header, nil
	})
	return cluster, err
}

type wireStatus struct {
	Header           wireHeader `json:"header"`
	Version          string     `json:"version"`
	StorageVersion   string     `json:"storageVersion"`
	DBSize           number     `json:"dbSize"`
	DBSizeInUse      number     `json:"dbSizeInUse"`
	DBSizeQuota      number     `json:"dbSizeQuota"`
	Leader           ident      `json:"leader"`
	RaftIndex        ident      `json:"raftIndex"`
	RaftTerm         ident      `json:"raftTerm"`
	RaftAppliedIndex ident      `json:"raftAppliedIndex"`
	IsLearner        bool       `json:"isLearner"`
	Errors           []string   `json:"errors"`
	Downgrade        struct {
		Enabled bool   `json:"enabled"`
		Target  string `json:"targetVersion"`
	} `json:"downgradeInfo"`
}

func (w *wireStatus) public() *StatusResponse {
	out := &StatusResponse{
		Header: w.Header.public(), Version: w.Version, StorageVersion: w.StorageVersion,
		DBSize: int64(w.DBSize), DBSizeInUse: int64(w.DBSizeInUse), DBSizeQuota: int64(w.DBSizeQuota),
		Leader: uint64(w.Leader), RaftIndex: uint64(w.RaftIndex), RaftAppliedIndex: uint64(w.RaftAppliedIndex),
		IsLearner: w.IsLearner, Errors: w.Errors,
		Downgrade: DowngradeInfo{w.Downgrade.Enabled, w.Downgrade.Target},
	}
	out.RaftTerm = max(out.RaftTerm, uint64(w.RaftTerm)) // older headers lack it
	return out
}

type wireHash struct {
	Header          wireHeader `json:"header"`
	Hash            uint32     `json:"hash"`
	CompactRevision number     `json:"compact_revision"`
	HashRevision    number     `json:"hash_revision"`
}

type wireDowngrade struct {
	Header  wireHeader `json:"header"`
	Version string     `json:"version"`
}
