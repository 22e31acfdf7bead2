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
	ClientURLs []string // as the member advertises; empty until it has started
	IsLearner  bool     // it does not vote yet and serves hardly any request
}

// MemberListResponse lists the members after the call.
type MemberListResponse struct {
	Header
	Members []Member
}

// MemberAddResponse is a new member, and the list that includes it.
type MemberAddResponse struct {
	Header
	Member  Member // the new one; it has no name yet
	Members []Member
}

// Cluster manages the cluster as a whole: its members, its leader, alarms and downgrades.
// [Client.Cluster] returns it. It may be copied and is safe for concurrent use.
type Cluster struct{ client *Client }

// Cluster returns the calls about the cluster as a whole. It sends nothing.
func (c *Client) Cluster() Cluster { return Cluster{c} }

// kindMembers is MemberList, among the operations that options apply to.
const kindMembers opKind = 1 << 7

// MemberList returns the members of the cluster. The list is linearizable and needs a leader. With
// [Serializable], or before etcd 3.5, a member answers from its own copy. It is retried at other
// endpoints until ctx ends. Returns ErrInvalid when another option is given.
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

// MemberAdd adds a member that the others reach at the peer URLs. It votes at once: until it is
// started, the cluster needs a majority that counts it. Returns ErrExists when another member has
// one of the peer URLs, and ErrUncertain when the answer is lost: look at MemberList. It is sent at
// most once; while etcd finds the cluster too unhealthy for a change, it is retried until ctx ends.
func (c Cluster) MemberAdd(ctx context.Context, peerURLs []string) (*MemberAddResponse, error) {
	return c.memberAdd(ctx, "member add", wireMemberAdd{PeerURLs: peerURLs})
}

// MemberAddAsLearner adds a member that does not vote until MemberPromote. Errors and ctx are as
// for MemberAdd.
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

// MemberPromote makes a learner a voting member. Returns ErrNotFound when no member has the ID, an
// [*Error] of CodeFailedPrecondition when the member is too far behind the leader, and ErrUncertain
// when the answer is lost. It is sent at most once; while etcd finds the cluster too unhealthy for
// a change, it is retried until ctx ends.
func (c Cluster) MemberPromote(ctx context.Context, id uint64) (*MemberListResponse, error) {
	w := wireMemberChange{ID: id}
	return c.memberChange(ctx, "member promote", "/cluster/member/promote", w)
}

// MemberUpdate changes the peer URLs of a member. Returns ErrNotFound when no member has the ID,
// and ErrUncertain when the answer is lost. It is sent at most once,
// with retries as for MemberPromote.
func (c Cluster) MemberUpdate(
	ctx context.Context, id uint64, peerURLs []string,
) (*MemberListResponse, error) {
	const op = "member update"
	if why := badPeers(peerURLs); why != "" {
		return nil, invalid(op, "%s", why)
	}
	w := wireMemberChange{ID: id, PeerURLs: peerURLs}
	return c.memberChange(ctx, op, "/cluster/member/update", w)
}

// MemberRemove removes a member, which then stops. Returns ErrNotFound when no member has the ID,
// also when it was removed before, and ErrUncertain when the answer is lost. It is sent at most
// once, with retries as for MemberPromote.
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

// badPeers returns why the peer URLs of a member are wrong, more clearly than etcd does.
func badPeers(urls []string) string {
	if len(urls) == 0 {
		return "no peer URLs"
	}
	for _, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" ||
			u.Host == "" || u.User != nil {
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
	return Member{
		ID: uint64(w.ID), Name: w.Name, PeerURLs: w.PeerURLs, ClientURLs: w.ClientURLs,
		IsLearner: w.IsLearner,
	}
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
