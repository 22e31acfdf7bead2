package etcdproc_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

func TestIsolatedLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		c := etcdtest.Start(t, &etcdproc.Options{
			Version: version, Members: 3, PeerLinks: true,
			UnsafeNoFsync: true,
		})
		old := c.FindLeader(t)
		if err := c.Isolate(old); err != nil {
			t.Fatal(err)
		}
		next := old
		// The others have not noticed the loss of the leader yet.
		for began := time.Now(); next == old; next = c.FindLeader(t) {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%s leads although nobody hears it", old.Name())
			}
		}
		if _, err := c.ClientV3(t, next.Endpoint()).Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if get(t, c, old) == nil {
			t.Error("the isolated member serves linearizable reads")
		}
		if err := c.HealLinks(); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantValue(t, c.ClientV3(t, old.Endpoint()), "k", "v")
	})
}

// TestOneCutLink: a member that does not receive the leader's bytes cannot serve, although all
// other links work.
func TestOneCutLink(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, &etcdproc.Options{Members: 3, PeerLinks: true, UnsafeNoFsync: true})
	leader := c.FindLeader(t)
	var followers []*etcdproc.Member
	for _, m := range c.Members() {
		if m != leader {
			followers = append(followers, m)
		}
	}
	// The follower's answers and requests are lost, the leader's are not.
	if err := c.Cut(followers[0], leader); err != nil {
		t.Fatal(err)
	}
	if get(t, c, followers[0]) == nil {
		t.Error("a read through the cut member was answered")
	}
	if err := get(t, c, followers[1]); err != nil {
		t.Errorf("a read through the other follower: %v", err)
	}
	if err := c.HealLinks(); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCutNeedsPeerLinks(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, &etcdproc.Options{Members: 2, UnsafeNoFsync: true})
	if err := c.Cut(c.Member(0), c.Member(1)); err == nil {
		t.Error("a link was cut that does not exist")
	}
}

// get does a linearizable read through one member.
func get(t *testing.T, c *etcdtest.Cluster, m *etcdproc.Member) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := clientv3.NewKV(c.ClientV3(t, m.Endpoint())).Get(ctx, "k")
	return err
}
