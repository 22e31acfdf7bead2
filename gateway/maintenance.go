package gateway

import (
	"context"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// MemberClient calls one member of the cluster; [Client.Member] returns it. It may be copied and is
// safe for concurrent use.
type MemberClient struct {
	client *Client
	url    string
}

// Member returns the calls about the member that answers at a URL. They are sent to it once, and to
// no other member instead. Member itself sends nothing.
//
// The URL is an endpoint of the client or another one, in the form of [Config].Endpoints. The empty
// URL means the endpoint that is in use when a call is made. The calls return ErrInvalid when the
// URL cannot be read, or the client must not use it, as with http beside https endpoints, or with a
// password that would be sent in plain text.
func (c *Client) Member(url string) MemberClient { return MemberClient{client: c, url: url} }

// StatusResponse is the state of one member and of the cluster, as that member sees it.
type StatusResponse struct {
	Header
	Version          string // of the member: "3.6.16"
	StorageVersion   string // of the database; empty before etcd 3.6
	DBSize           int64  // bytes on disk
	DBSizeInUse      int64  // bytes of them in use; Defragment frees the rest
	DBSizeQuota      int64  // bytes at which NOSPACE is raised; 0 before etcd 3.6
	Leader           uint64 // member ID; 0: the member knows of none
	RaftIndex        uint64 // committed
	RaftAppliedIndex uint64
	IsLearner        bool
	Errors           []string // "etcdserver: no leader", raised alarms
	Downgrade        DowngradeInfo
}

// DowngradeInfo is the state of a downgrade. It is empty before etcd 3.6.
type DowngradeInfo struct {
	Enabled bool
	Target  string
}

// Status returns the member's status. A member without a leader answers too. It is sent once.
// Returns ErrUnavailable when the member does not answer within [Config].AttemptTimeout.
func (m MemberClient) Status(ctx context.Context) (*StatusResponse, error) {
	var out *StatusResponse
	r := &call{op: "status", path: "/maintenance/status", local: true}
	err := visitor(ctx, m, r, struct{}{}, func(a *wireStatus) (etcdjson.Header, error) {
		out = a.public()
		return a.Header, nil
	})
	return out, err
}

// Defragment rewrites the member's database, which frees unused space on disk. The member serves
// nothing meanwhile, for seconds per gigabyte: defragment one member at a time, the leader last.
// Only ctx bounds it. It is sent once, and may be repeated. Returns ErrUnavailable when the member
// cannot be reached, and ErrUncertain when the answer is lost.
func (m MemberClient) Defragment(ctx context.Context) error {
	r := &call{op: "defragment", path: "/maintenance/defragment", local: true, write: true}
	r.timeout = patient
	return visitor(ctx, m, r, struct{}{}, headerOnly)
}

// HashResponse is the checksum of a member's database.
type HashResponse struct {
	Header
	Hash uint32
}

// Hash returns a checksum of the member's whole database, for tests of etcd itself: healthy members
// may differ. To compare members use [MemberClient.HashKV]. It is sent once. Only ctx bounds it.
// Returns ErrUnavailable when the member cannot be reached.
func (m MemberClient) Hash(ctx context.Context) (*HashResponse, error) {
	var out *HashResponse
	r := &call{op: "hash", path: "/maintenance/hash", local: true, timeout: patient}
	err := visitor(ctx, m, r, struct{}{}, func(a *wireHash) (etcdjson.Header, error) {
		out = &HashResponse{Header: headerOf(a.Header), Hash: a.Hash}
		return a.Header, nil
	})
	return out, err
}

// HashKVResponse is the checksum of a member's keys. Two members with the same CompactRevision must
// have the same Hash.
type HashKVResponse struct {
	Header
	Hash            uint32
	CompactRevision int64
	HashRevision    int64 // the last revision included; 0 before etcd 3.6
}

// HashKV returns a checksum of the member's keys and their history, up to a revision. Revision 0 is
// that member's newest. It is sent once. Only ctx bounds it. Returns ErrUnavailable when the member
// cannot be reached, ErrCompacted when the revision has been compacted, and [errors.ErrUnsupported]
// from etcd 3.4, whose gateway has no such call.
func (m MemberClient) HashKV(ctx context.Context, rev int64) (*HashKVResponse, error) {
	const op = "hash kv"
	if rev < 0 {
		return nil, invalid(op, "negative revision")
	}
	type request struct {
		Revision int64 `json:"revision,omitempty,string"`
	}
	var out *HashKVResponse
	r := &call{op: op, path: "/maintenance/hashkv", local: true, timeout: patient}
	err := visitor(ctx, m, r, request{rev}, func(a *wireHash) (etcdjson.Header, error) {
		out = &HashKVResponse{
			Header: headerOf(a.Header), Hash: a.Hash,
			CompactRevision: int64(a.CompactRevision), HashRevision: int64(a.HashRevision),
		}
		return a.Header, nil
	})
	return out, err
}

type wireStatus struct {
	Header           etcdjson.Header `json:"header"`
	Version          string          `json:"version"`
	StorageVersion   string          `json:"storageVersion"`
	DBSize           etcdjson.Int64  `json:"dbSize"`
	DBSizeInUse      etcdjson.Int64  `json:"dbSizeInUse"`
	DBSizeQuota      etcdjson.Int64  `json:"dbSizeQuota"`
	Leader           etcdjson.Uint64 `json:"leader"`
	RaftIndex        etcdjson.Uint64 `json:"raftIndex"`
	RaftTerm         etcdjson.Uint64 `json:"raftTerm"`
	RaftAppliedIndex etcdjson.Uint64 `json:"raftAppliedIndex"`
	IsLearner        bool            `json:"isLearner"`
	Errors           []string        `json:"errors"`
	Downgrade        struct {
		Enabled bool   `json:"enabled"`
		Target  string `json:"targetVersion"`
	} `json:"downgradeInfo"`
}

func (w *wireStatus) public() *StatusResponse {
	out := &StatusResponse{
		Header: headerOf(w.Header), Version: w.Version, StorageVersion: w.StorageVersion,
		DBSize: int64(w.DBSize), DBSizeInUse: int64(w.DBSizeInUse),
		DBSizeQuota: int64(w.DBSizeQuota), Leader: uint64(w.Leader),
		RaftIndex: uint64(w.RaftIndex), RaftAppliedIndex: uint64(w.RaftAppliedIndex),
		IsLearner: w.IsLearner, Errors: w.Errors,
		Downgrade: DowngradeInfo{w.Downgrade.Enabled, w.Downgrade.Target},
	}
	out.RaftTerm = max(out.RaftTerm, uint64(w.RaftTerm)) // older headers lack it
	return out
}

type wireHash struct {
	Header          etcdjson.Header `json:"header"`
	Hash            uint32          `json:"hash"`
	CompactRevision etcdjson.Int64  `json:"compact_revision"`
	HashRevision    etcdjson.Int64  `json:"hash_revision"`
}
