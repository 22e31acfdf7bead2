package shard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/session"
)

// Pause stops a shard until [Resume]: the function of its owner ends with the cause [ErrPaused],
// and no member holds the shard. It remains assigned. Pause returns when no member holds the shard.
// A member that is cut off may still acquire it, and releases it when it notices the pause. A
// second Pause replaces the reason of the first.
//
// Returns [gateway.ErrInvalid] when the reason is blank, and ctx's error when ctx ends first. The
// pause may be in force then, and with [gateway.ErrUncertain] it may come into force later.
func Pause(ctx context.Context, c *gateway.Client, group string, shard int, why string) error {
	err, at := cmp.Or(checkShard(c, group, shard), checkReason(why)), int64(0)
	if err == nil {
		at, err = operate(ctx, c, pauseKey(group, shard), why)
	}
	if err == nil {
		err = until(ctx, c, group, at, func(v View) bool {
			return shard >= len(v.Holders) || v.Holders[shard] == nil
		})
	}
	return wrap("pause", group, err)
}

// Resume ends a [Pause]. The member to which the shard is assigned acquires it again. Returns nil
// when there was no pause. After [gateway.ErrUncertain] it may be repeated.
func Resume(ctx context.Context, c *gateway.Client, group string, shard int) error {
	err := checkShard(c, group, shard)
	if err == nil {
		_, err = operate(ctx, c, pauseKey(group, shard), "")
	}
	return wrap("resume", group, err)
}

// Drain moves all shards of a member to the others, one after the other, until [Undrain]. The
// member stays in the group, and the order also counts for a later process with its ID. Drain
// returns when the member holds no shards. If all members are drained, no shard has an owner.
//
// Returns [gateway.ErrInvalid] when the reason is blank, and ctx's error when ctx ends first. The
// moves go on then, and with [gateway.ErrUncertain] they may begin later.
func Drain(ctx context.Context, c *gateway.Client, group, id, why string) error {
	err, at := cmp.Or(checkNode(c, group, id), checkReason(why)), int64(0)
	if err == nil {
		at, err = operate(ctx, c, drainKey(group, id), why)
	}
	if err == nil {
		err = until(ctx, c, group, at, func(v View) bool { return v.has(id) == 0 })
	}
	return wrap("drain", group, err)
}

// Undrain ends a [Drain]: the member has its share again. Returns nil when there was no drain.
// After [gateway.ErrUncertain] it may be repeated.
func Undrain(ctx context.Context, c *gateway.Client, group, id string) error {
	err := checkNode(c, group, id)
	if err == nil {
		_, err = operate(ctx, c, drainKey(group, id), "")
	}
	return wrap("undrain", group, err)
}

// operate puts an order, or deletes it if there is no reason, and returns the revision. It has a
// session for the call, so that no copy of the write can be applied later.
func operate(ctx context.Context, c *gateway.Client, key, why string) (at int64, _ error) {
	s, err := session.New(ctx, c, nil)
	if err != nil {
		return 0, err
	}
	op := gateway.OpDelete(key)
	if why != "" {
		order := Order{By: core.Of(s).Info().String(), Why: why, At: clock.Wall(ctx)}
		value, _ := json.Marshal(order) // strings and a time cannot fail
		op = gateway.OpPut(key, value)
	}
	resp, err := s.Txn(ctx, gateway.Txn{Then: []gateway.Op{op}})
	closing := s.Close(ctx) // the lease expires if it cannot be revoked
	switch {
	case errors.Is(err, gateway.ErrUncertain):
		return 0, errors.Join(err, closing)
	case err != nil:
		return 0, err
	}
	return resp.Revision, nil
}

// until returns nil when the group is as wanted, at the revision of the order or later: the copy
// that observers share may be older.
func until(
	ctx context.Context, c *gateway.Client, group string, at int64, done func(View) bool,
) error {
	for v, err := range Observe(ctx, c, group) {
		if err != nil {
			return errors.Unwrap(err) // the caller wraps it
		}
		if v.Revision >= at && done(v) {
			return nil
		}
	}
	return nil
}

// has returns the number of shards that a member holds, or is to hold while it is in the group.
func (v View) has(id string) (n int) {
	for s, h := range v.Holders {
		if h != nil && h.Member.ID == id || v.members[id] && v.Assigned[s] == id {
			n++
		}
	}
	return n
}

func checkShard(c *gateway.Client, group string, shard int) error {
	if shard < 0 || shard >= MaxShards {
		return invalid("there is no shard %d", shard)
	}
	return checkView(c, group)
}

func checkNode(c *gateway.Client, group, id string) error {
	if id == "" {
		return invalid("no member")
	}
	return checkView(c, group)
}

func checkReason(why string) error {
	if strings.TrimSpace(why) == "" {
		return invalid("no reason")
	}
	return nil
}
