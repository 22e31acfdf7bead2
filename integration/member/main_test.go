// Package member_test tests members of groups on real etcd.
package member_test

import (
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/member"
)

// cluster is one member of etcd that the tests of the package share if they do not disturb it.
var cluster recipetest.Shared

var (
	newClient  = recipetest.NewClient
	figure     = recipetest.Figure
	within     = recipetest.Within
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
)

func TestMain(m *testing.M) { cluster.Main(m) }

// join adds a member, which leaves at the end of the test.
func join(t *testing.T, c *gateway.Client, group string, opts member.Options) *member.Membership {
	t.Helper()
	m, err := member.Join(t.Context(), c, group, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ids returns the IDs of the members of a group, by their values.
func ids(t *testing.T, c *gateway.Client, group string) map[string]member.Member {
	t.Helper()
	v, err := member.Members(within(t, recipetest.Patience), c, group)
	if err != nil {
		t.Fatal(err)
	}
	return byID(v)
}

func byID(v member.View) map[string]member.Member {
	all := map[string]member.Member{}
	for _, m := range v.Members {
		all[m.ID] = m
	}
	return all
}

// back waits until a member has a key that was created or put after a revision, and returns the
// time that this took.
func back(t *testing.T, c *gateway.Client, m *member.Membership, after int64) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, "return", func() bool {
		resp, err := c.Get(within(t, recipetest.Patience), m.Key())
		return err == nil && len(resp.KVs) == 1 && resp.KVs[0].ModRevision > after &&
			resp.KVs[0].Lease != 0
	})
	return time.Since(began)
}
