package gateway

import (
	"context"
	"strings"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// MoveLeader makes a member the leader. It returns nil if the member leads already. Only the leader
// can move the leadership: each endpoint is tried once until the leader has answered, so the leader
// must be among them, and ctx bounds them all. Returns an [*Error] of CodeFailedPrecondition when
// no endpoint is the leader's, or the ID is not a voting member's. After any error the leader may
// have moved, because its answer may be lost. It may be repeated.
func (c Cluster) MoveLeader(ctx context.Context, id uint64) error {
	const op = "move leader"
	if id == 0 {
		return invalid(op, "no member ID")
	}
	type request struct {
		TargetID uint64 `json:"targetID,string"`
	}
	next := func(e *Error) bool { return e.says("not leader") }
	r := &call{op: op, path: "/maintenance/transfer-leadership"} // one, which notes a lost answer
	r.local, r.write, r.timeout = true, true, adminTimeout
	if err := prepare(r, request{id}, headerOnly); err != nil {
		return err
	}
	return c.client.inTurn(ctx, op, next, func(ctx context.Context, ep *endpoint) error {
		return c.client.at(ctx, ep, r)
	})
}

// DowngradeAction is a step of a downgrade.
type DowngradeAction string

// The actions of Downgrade.
const (
	DowngradeValidate DowngradeAction = "VALIDATE" // checks whether it is possible
	// DowngradeEnable begins it: members of the target version may join.
	DowngradeEnable DowngradeAction = "ENABLE"
	DowngradeCancel DowngradeAction = "CANCEL" // stops it
)

// Downgrade prepares the cluster for members of an older version, "3.5" say, one minor version at a
// time. The target is empty for DowngradeCancel. It returns the version that the cluster runs at.
//
// Returns an [*Error] of CodeFailedPrecondition, or ErrInvalid, when etcd does not allow it, and
// [errors.ErrUnsupported] from etcd 3.4, which has no such call. DowngradeValidate is retried at
// other endpoints until ctx ends. The other actions are sent at most once. They return ErrUncertain
// when ctx ends or the answer is lost, as always on etcd 3.5, which begins a downgrade and never
// answers.
func (c Cluster) Downgrade(
	ctx context.Context, action DowngradeAction, target string,
) (cluster string, err error) {
	const op = "downgrade"
	switch action {
	case DowngradeValidate, DowngradeEnable:
		if strings.TrimSpace(target) == "" {
			return "", invalid(op, "no target version")
		}
	case DowngradeCancel:
	default: // etcd 3.6 would treat it as a validation
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
	done := func(a *wireDowngrade) (etcdjson.Header, error) {
		cluster = a.Version
		return a.Header, nil
	}
	err = unary(ctx, c.client, r, request{action, target}, done)
	return cluster, err
}

type wireDowngrade struct {
	Header  etcdjson.Header `json:"header"`
	Version string          `json:"version"`
}
