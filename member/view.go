package member

import (
	"context"
	"iter"
	"slices"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/ctxerr"
)

// Member is a member of a group as observers see it.
type Member struct {
	ID     string
	Value  string
	Weight int
	Zone   string
	Lease  gateway.LeaseID // of the member's session
	// Fence is the revision at which the member's key was created. It grows each time that the
	// member, or another one with its ID, joins while the key does not exist.
	Fence int64
}

// View is the members of a group at one revision.
type View struct {
	Revision int64
	Members  []Member // by ID
}

// Members reads the members of a group. It sends one request. Returns the error of a request that
// failed.
func Members(ctx context.Context, c *gateway.Client, group string) (View, error) {
	if err := check(c, group); err != nil {
		return View{}, wrap("members", group, err)
	}
	prefix := prefixOf(group)
	read, err := c.Get(ctx, prefix, gateway.Prefix())
	if err != nil {
		return View{}, wrap("members", group, err)
	}
	r := &roster{prefix: prefix}
	r.List(read)
	v, _ := r.view()
	return v, nil
}

func check(c *gateway.Client, group string) error {
	if c == nil {
		return invalid("no client")
	}
	return checkGroup(group)
}

// Observe returns the members of a group at once, and again after each change, until ctx ends. The
// revisions of the views grow; views in between may be skipped, the last one is not. The last pair
// has the error: ctx's, or the one that ended the watch, such as [gateway.ErrPermissionDenied].
// Nothing is returned while etcd cannot be reached.
func Observe(ctx context.Context, c *gateway.Client, group string) iter.Seq2[View, error] {
	return func(yield func(View, error) bool) {
		fail := func(err error) { yield(View{}, wrap("observe", group, err)) }
		if err := check(c, group); err != nil {
			fail(err)
			return
		}
		r := acquireRoster(c, prefixOf(group))
		defer rosters.Release(r, idleRoster)
		wake := r.addReader()
		defer r.removeReader(wake)
		shown := View{Revision: -1}
		for {
			if err := r.Sync(ctx); err != nil {
				fail(err)
				return
			}
			v, ok := r.view()
			if ok && v.Revision > shown.Revision && !slices.Equal(v.Members, shown.Members) ||
				ok && shown.Revision < 0 {
				shown = v
				v.Members = slices.Clone(v.Members) // the caller may change it
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
