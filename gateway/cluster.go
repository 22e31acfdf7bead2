package gateway

import (
	"context"
	"net/url"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// Member is one member of the cluster.
type Member struct {
	ID         uint64
	Name       string // empty until the member has started
	PeerURLs   []string
	ClientURLs []string // what it advertises; empty until the member has started
	IsLearner  bool     // it does not vote yet, and serves next to nothing
}

// MemberListResponse answers the calls about members: it has those after the call.
type MemberListResponse struct {
	Header
	Members []Member
}

// MemberAddResponse answers MemberAdd and MemberAddAsLearner.
type MemberAddResponse struct {
	Header
	Member  Member // the new one; it has no name yet
	Members []Member
}

// Cluster manages the cluster as a whole: its members, its leader, alarms and downgrades.
// [Client.Cluster] returns it. It is a handle that may be copied, and it is safe for concurrent
// use.
type Cluster struct{ client *Client }

// Cluster returns the calls about the cluster as a whole. It sends nothing.
func (c *Client) Cluster() Cluster { return Cluster{c} }

// kindMembers is MemberList, among the operations that options apply to.
const kindMembers opKind = 1 << 7

// MemberList gives the members of the cluster. The list is linearizable, and needs a leader, unless [Serializable] lets a
// member answer from what it knows; before etcd 3.5 they always do. It goes on at other endpoints until ctx ends.
func (c Cluster) MemberList(ctx context.Context, opts ...Option) (*MemberListResponse, error) {
	const op = "member list"
	o := Op{kind: kindMembers}.with(opts)
	if o.wrong != "" {
		return nil, invalid(op, "option %s does not apply", o.wrong)
	}
	r := memberListCall(op, o.serializable)
	r.repeat = true
	var out *MemberListResponse
	request := wireMemberList{Linearizable: !o.serializable}
	err := unary(ctx, c.client, r, request, func(a *wireMembers) (etcdjson.Header, error) {
		out = a.public()
		return a.Header, nil
	})
	return out, err
}

func memberListCall(op string, local bool) *call {
	return &call{op: op, path: "/cluster/member/list", local: local}
}

// MemberAdd adds a member that is to be reached at the peer URLs. It votes at once: while it is not started, the cluster
// needs a majority that counts it. When its fate is unknown it returns ErrUncertain: look at MemberList. Where etcd finds
// the cluster too unhealthy for a change, it goes on trying until ctx ends. A peer URL that another member has is ErrExists.
func (c Cluster) MemberAdd(ctx context.Context, peerURLs []string) (*MemberAddResponse, error) {
	return c.memberAdd(ctx, "member add", wireMemberAdd{PeerURLs: peerURLs})
}

// MemberAddAsLearner adds a member as MemberAdd does; it does not vote until MemberPromote.
func (c Cluster) MemberAddAsLearner(
	ctx context.Context, peerURLs []string,
) (*MemberAddResponse, error) {
	return c.memberAdd(ctx, "member add", wireMemberAdd{PeerURLs: peerURLs, IsLearner: true})
}

func (c Cluster) memberAdd(
	ctx context.Context, op string, w wireMemberAdd,
) (*MemberAddResponse, error) {
	if why := badPeers(w.PeerURLs); why != "" {
		return nil, invalid(op, "%s", why)
	}
	var out *MemberAddResponse
	r := &call{op: op, path: "/cluster/member/add", write: true, timeout: adminTimeout}
	err := unary(ctx, c.client, r, w, func(a *wireMembers) (etcdjson.Header, error) {
		out = &MemberAddResponse{
			Header: headerOf(a.Header), Member: a.Member.public(), Members: a.public().Members,
		}
		return a.Header, nil
	})
	return out, err
}

// MemberPromote lets a learner vote. etcd refuses a member that is not close enough to the leader yet, with an [*Error]
// of CodeFailedPrecondition. When its fate is unknown it returns ErrUncertain. An unknown ID is ErrNotFound.
func (c Cluster) MemberPromote(ctx context.Context, id uint64) (*MemberListResponse, error) {
	return c.memberChange(ctx, "member promote", "/cluster/member/promote", wireMemberChange{ID: id})
}

// MemberUpdate changes where a member is to be reached by the others. When its fate is unknown it returns ErrUncertain. An
// unknown ID is ErrNotFound.
func (c Cluster) MemberUpdate(
	ctx context.Context, id uint64, peerURLs []string,
) (*MemberListResponse, error) {
	const op = "member update"
	if why := badPeers(peerURLs); why != "" {
		return nil, invalid(op, "%s", why)
	}
	return c.memberChange(ctx, op, "/cluster/member/update", wireMemberChange{ID: id, PeerURLs: peerURLs})
}

// MemberRemove removes a member, which then stops. When its fate is unknown it returns ErrUncertain. An unknown ID, one
// that was removed before also, is ErrNotFound.
func (c Cluster) MemberRemove(ctx context.Context, id uint64) (*MemberListResponse, error) {
	return c.memberChange(ctx, "member remove", "/cluster/member/remove", wireMemberChange{ID: id})
}

func (c Cluster) memberChange(
	ctx context.Context, op, path string, w wireMemberChange,
) (*MemberListResponse, error) {
	if w.ID == 0 {
		return nil, invalid(op, "no member ID")
	}
	var out *MemberListResponse
	r := &call{op: op, path: path, write: true, timeout: adminTimeout}
	err := unary(ctx, c.client, r, w, func(a *wireMembers) (etcdjson.Header, error) {
		out = a.public()
		return a.Header, nil
	})
	return out, err
}

// badPeers says what is wrong with the peer URLs of a member; etcd says it less clearly.
func badPeers(urls []string) string {
	if len(urls) == 0 {
		return "no peer URLs"
	}
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return "a peer URL must be http://host:port or https://host:port"
		}
	}
	return ""
}

type wireMemberList struct {
	Linearizable bool `json:"linearizable"`
}

type wireMemberAdd struct {
	PeerURLs  []string `json:"peerURLs"`
	IsLearner bool     `json:"isLearner,omitempty"`
}

type wireMemberChange struct {
	ID       uint64   `json:"ID,string"`
	PeerURLs []string `json:"peerURLs,omitempty"`
}

type wireMember struct {
	ID         etcdjson.Uint64 `json:"ID"`
	Name       string          `json:"name"`
	PeerURLs   []string        `json:"peerURLs"`
	ClientURLs []string        `json:"clientURLs"`
	IsLearner  bool            `json:"isLearner"`
}

func (w wireMember) public() Member {
	return Member{ID: uint64(w.ID), Name: w.Name, PeerURLs: w.PeerURLs, ClientURLs: w.ClientURLs, IsLearner: w.IsLearner}
}

type wireMembers struct {
	Header  etcdjson.Header `json:"header"`
	Member  wireMember      `json:"member"`
	Members []wireMember    `json:"members"`
}

func (w wireMembers) public() *MemberListResponse {
	out := &MemberListResponse{Header: headerOf(w.Header)}
	for _, m := range w.Members {
		out.Members = append(out.Members, m.public())
	}
	return out
}
