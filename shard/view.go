package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
	"github.com/holdfast-go/holdfast/member"
)

// ErrNoOwner is returned by [Owner] when no member holds the shard.
var ErrNoOwner = errors.New("no owner")

// Holder is a member that holds a shard.
type Holder struct {
	Shard  int
	Fence  int64         // as [Shard.Fence]
	Key    string        // as [Shard.Key]
	Value  string        // of [Shard.SetValue]; the member's value if there is none
	Member member.Member // with the ID only if the member is away
}

// View is the state of a group at one revision. Holders and Assigned have an entry for each shard.
type View struct {
	Revision int64
	Holders  []*Holder // nil where no member holds the shard
	Assigned []string  // the ID of the member that is to hold the shard, or ""

	Paused  map[int]Order    // the shards of [Pause]
	Drained map[string]Order // the members of [Drain], by ID

	members map[string]bool // the IDs of the members
}

// Owner reads the member that holds a shard. Its Value may be an address. Owner sends two requests;
// [Observe] keeps a copy of all. Returns [ErrNoOwner] when no member holds the shard, and the error
// of a request that failed.
func Owner(ctx context.Context, c *gateway.Client, group string, shard int) (Holder, error) {
	h, err := owner(ctx, c, group, shard)
	return h, wrap("owner", group, err)
}

func owner(ctx context.Context, c *gateway.Client, group string, shard int) (Holder, error) {
	if err := checkShard(c, group, shard); err != nil {
		return Holder{}, err
	}
	prefix := lineName(group, shard) + "/"
	line, err := c.Get(ctx, prefix, gateway.Prefix())
	if err != nil {
		return Holder{}, err
	}
	g := newGroupCopy(group)
	for _, kv := range line.KVs {
		g.put(kv)
	}
	h := g.holder(shard)
	if h == nil {
		return Holder{}, fmt.Errorf("%w of shard %d", ErrNoOwner, shard)
	}
	key := member.KeyOf(group, h.Member.ID)
	read, err := c.Get(ctx, key)
	if err != nil {
		return Holder{}, err
	}
	if len(read.KVs) > 0 {
		if m, ok := member.Of(group, read.KVs[0]); ok {
			h.Member, h.Value = m, cmp.Or(h.Value, m.Value)
		}
	}
	return *h, nil
}

func checkView(c *gateway.Client, group string) error {
	switch {
	case c == nil:
		return invalid("no client")
	case group == "":
		return invalid("no group")
	}
	return nil
}

// Observe returns the state of a group at once, and again after each change, until ctx ends. The
// revisions of the views grow; views in between may be skipped, the last one is not. The last pair
// has the error: ctx's, or the one that ended the watch, such as [gateway.ErrPermissionDenied].
// Each process that observes receives every change of the group's members and shards.
func Observe(ctx context.Context, c *gateway.Client, group string) iter.Seq2[View, error] {
	return func(yield func(View, error) bool) {
		fail := func(err error) { yield(View{}, wrap("observe", group, err)) }
		if err := checkView(c, group); err != nil {
			fail(err)
			return
		}
		g := acquireGroup(c, group)
		defer groups.Release(g, idleFollower)
		wake := g.addReader()
		defer g.removeReader(wake)
		shown := int64(-1)
		for {
			if err := g.Sync(ctx); err != nil {
				fail(err)
				return
			}
			if v, ok := g.view(); ok && v.Revision > shown {
				shown = v.Revision
				if !yield(v, nil) {
					return
				}
				continue // the group may have changed during the yield
			}
			select {
			case <-wake:
			case <-ctx.Done():
				fail(ctxerr.Of(ctx))
				return
			}
		}
	}
}
