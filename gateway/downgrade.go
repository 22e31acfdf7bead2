package gateway

import (
	"context"
	"strings"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// MoveLeader makes a member the leader. Only the leader can do it: each endpoint is asked in turn
// until one has, so the leader must be among them. It may be repeated; a member that leads already
// is a success. An ID that is no voting member's is an [*Error] of CodeFailedPrecondition.
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

// DowngradeAction is what Downgrade does.
type DowngradeAction string

// The actions of Downgrade.
const (
	DowngradeValidate DowngradeAction = "VALIDATE" // asks whether it would be possible
	DowngradeEnable   DowngradeAction = "ENABLE"   // begins it: members of the target version may join
	DowngradeCancel   DowngradeAction = "CANCEL"   // calls it off
)

// Downgrade prepares the cluster for members of an older version, "3.5" say; one minor version at a
// time. The target is empty for DowngradeCancel. It returns the version that the cluster speaks.
// When the fate of DowngradeEnable or DowngradeCancel is unknown it returns ErrUncertain; so it
// does on etcd 3.5, which begins and never answers. What etcd does not allow is an [*Error] of
// CodeFailedPrecondition or ErrInvalid; etcd 3.4 has no such call: [errors.ErrUnsupported].
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
