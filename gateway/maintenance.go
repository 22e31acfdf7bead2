package gateway

import (
	"context"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// MemberClient calls one member of the cluster; [Client.Member] returns it. It is a handle that may
// be copied, and it is safe for concurrent use.
type MemberClient struct {
	client *Client
	url    string
}

// Member returns the calls about the one member that answers at a URL. They ask it once, and no
// other one instead. It sends nothing.
//
// The URL is one as in [Config.Endpoints], an endpoint of the client or another one. The empty URL
// means the endpoint that is in use when a call is made. The calls return ErrInvalid when the URL
// cannot be read, or when the client may not use it: one of http beside those of https, say, or one
// that would carry the password openly.
func (c *Client) Member(url string) MemberClient { return MemberClient{client: c, url: url} }

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

// Status asks the member for its status. It asks once. A member without a leader answers too.
func (m MemberClient) Status(ctx context.Context) (*StatusResponse, error) {
	var out *StatusResponse
	r := &call{op: "status", path: "/maintenance/status", local: true}
	err := visitor(ctx, m, r, struct{}{}, func(a *wireStatus) (etcdjson.Header, error) {
		out = a.public()
		return a.Header, nil
	})
	return out, err
}

// Defragment makes the member rewrite its database, which gives unused space back to the disk. The
// member serves nothing meanwhile, for seconds per gigabyte: go from member to member, the leader last. Only ctx bounds it.
// When its fate is unknown it returns ErrUncertain; it may be repeated.
func (m MemberClient) Defragment(ctx context.Context) error {
	r := &call{op: "defragment", path: "/maintenance/defragment", local: true, write: true, timeout: patient}
	return visitor(ctx, m, r, struct{}{}, headerOnly)
}

// HashResponse answers [MemberClient.Hash].
type HashResponse struct {
	Header
	Hash uint32
}

// Hash gives a checksum of the whole database of the member, for tests of etcd itself: healthy
// members may differ. To compare members use [MemberClient.HashKV]. Only ctx bounds it.
func (m MemberClient) Hash(ctx context.Context) (*HashResponse, error) {
	var out *HashResponse
	r := &call{op: "hash", path: "/maintenance/hash", local: true, timeout: patient}
	err := visitor(ctx, m, r, struct{}{}, func(a *wireHash) (etcdjson.Header, error) {
		out = &HashResponse{Header: headerOf(a.Header), Hash: a.Hash}
		return a.Header, nil
	})
	return out, err
}

// HashKVResponse answers [MemberClient.HashKV]. Two members whose CompactRevision is the same must
// have the same Hash.
type HashKVResponse struct {
	Header
	Hash            uint32
	CompactRevision int64
	HashRevision    int64 // up to which it was made; 0 before etcd 3.6
}

// HashKV gives a checksum of the keys and their history, up to a revision, of the member. Revision
// 0 is that member's newest. A revision that was compacted is ErrCompacted. Only ctx bounds it. The
// gateway of etcd 3.4 does not have it: [errors.ErrUnsupported].
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
		DBSize: int64(w.DBSize), DBSizeInUse: int64(w.DBSizeInUse), DBSizeQuota: int64(w.DBSizeQuota),
		Leader: uint64(w.Leader), RaftIndex: uint64(w.RaftIndex), RaftAppliedIndex: uint64(w.RaftAppliedIndex),
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
