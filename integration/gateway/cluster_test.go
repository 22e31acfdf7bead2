package gateway_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// membersBy returns clientv3's list of members in this package's types, sorted.
func membersBy(
	ctx context.Context, t *testing.T, theirs *clientv3.Client,
) (members []gateway.Member) {
	t.Helper()
	for _, m := range must(theirs.MemberList(ctx))(t).Members {
		members = append(members, gateway.Member{
			ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs,
			IsLearner: m.IsLearner,
		})
	}
	return sorted(members)
}

func sorted(members []gateway.Member) []gateway.Member {
	slices.SortFunc(members, func(a, b gateway.Member) int { return cmp.Compare(a.ID, b.ID) })
	return members
}

func sameMembers(t *testing.T, what string, got, want []gateway.Member) {
	t.Helper()
	if g, w := fmt.Sprint(sorted(got)), fmt.Sprint(want); g != w {
		t.Errorf("%s: %s, and clientv3 says %s", what, g, w)
	}
}

// TestMembersAreAddedMovedAndRemoved adds members as learners and as voters, moves them and removes
// them.
func TestMembersAreAddedMovedAndRemoved(t *testing.T) {
	t.Parallel()
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		c := etcdtest.Start(t, recipetest.Server(version))
		ours := newClient(t, gateway.Config{Endpoints: c.Endpoints()})
		theirs := c.ClientV3(t)
		ctx := within(t, time.Minute)

		first := membersBy(ctx, t, theirs)
		sameMembers(t, "MemberList", must(ours.Cluster().MemberList(ctx))(t).Members, first)
		sameMembers(t, "serializable",
			must(ours.Cluster().MemberList(ctx, gateway.Serializable()))(t).Members, first)

		spare := must(c.Spare())(t)
		added := must(ours.Cluster().MemberAddAsLearner(ctx, []string{spare.PeerURL()}))(t)
		sameMembers(t, "MemberAddAsLearner", added.Members, membersBy(ctx, t, theirs))
		listed := func(m gateway.Member) bool { return m.ID == added.Member.ID }
		if !added.Member.IsLearner || !slices.ContainsFunc(added.Members, listed) {
			t.Errorf("added %+v", added.Member)
		}
		if _, err := ours.Cluster().MemberAddAsLearner(ctx,
			[]string{spare.PeerURL()}); !errors.Is(err, gateway.ErrExists) {
			t.Errorf("added twice: %v", err)
		}
		if err := spare.Join(); err != nil {
			t.Fatal(err)
		}
		if err := ours.Sync(ctx); err != nil || len(ours.Endpoints()) != 1 {
			t.Errorf("with a learner: %v, %v", ours.Endpoints(), err)
		}
		eventually(t, "promotion", func() bool {
			after, err := ours.Cluster().MemberPromote(ctx, added.Member.ID)
			if err == nil {
				sameMembers(t, "MemberPromote", after.Members, membersBy(ctx, t, theirs))
			} else if e, ok := errors.AsType[*gateway.Error](err); !ok ||
				e.Code != gateway.CodeFailedPrecondition {
				t.Fatal(err) // it is not ready yet
			}
			return err == nil
		})

		eventually(t, "Sync", func() bool { // the new member takes a moment to advertise itself
			if err := ours.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			return len(ours.Endpoints()) == 2
		})
		if s := ours.Endpoints()[1]; s.URL != spare.Endpoint() ||
			s.MemberID != added.Member.ID || !s.Healthy {
			t.Errorf("endpoint %+v, want %s", s, spare.Endpoint())
		}

		other := must(c.Spare())(t)
		voter := must(ours.Cluster().MemberAdd(ctx, []string{other.PeerURL()}))(t)
		if voter.Member.IsLearner {
			t.Errorf("added %+v", voter.Member)
		}
		sameMembers(t, "MemberAdd", voter.Members, membersBy(ctx, t, theirs))
		moved := must(ours.Cluster().MemberUpdate(ctx, voter.Member.ID,
			[]string{"http://127.0.0.1:1", "http://127.0.0.1:2"}))(t)
		sameMembers(t, "MemberUpdate", moved.Members, membersBy(ctx, t, theirs))
		sameMembers(t, "MemberRemove",
			must(ours.Cluster().MemberRemove(ctx, voter.Member.ID))(t).Members,
			membersBy(ctx, t, theirs))
		if _, err := ours.Cluster().MemberRemove(ctx,
			voter.Member.ID); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("removed twice: %v", err)
		}
		if _, err := ours.Cluster().MemberUpdate(ctx, 77,
			[]string{"http://127.0.0.1:1"}); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("an unknown member: %v", err)
		}

		must(ours.Cluster().MemberRemove(ctx, added.Member.ID))(t)
		sameMembers(t, "at the end", membersBy(ctx, t, theirs), first)
		if err := ours.Sync(ctx); err != nil || len(ours.Endpoints()) != 1 ||
			ours.Endpoints()[0].URL != c.Endpoints()[0] {
			t.Errorf("after the removal: %v, %v", ours.Endpoints(), err)
		}
		must(ours.Put(ctx, "k", nil))(t)
	})
}

// TestSyncKeepsEndpointsBesideAPortForGRPC: if members advertise URLs that serve gRPC only, no
// endpoint is lost.
func TestSyncKeepsEndpointsBesideAPortForGRPC(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		if version == "3.4" {
			t.Skip("Debian's 3.4 has no --listen-client-http-urls")
		}
		options := recipetest.Server(version)
		options.HTTPPort = true
		c := etcdtest.Start(t, options)
		ours := newClient(t, gateway.Config{Endpoints: c.Endpoints()})
		ctx := within(t, patience)
		advertised := must(ours.Cluster().MemberList(ctx))(t).Members[0].ClientURLs
		if !slices.Equal(advertised, []string{c.Member(0).GRPCEndpoint()}) ||
			advertised[0] == c.Endpoints()[0] {
			t.Fatalf("advertised %v, the gateway is at %v", advertised, c.Endpoints())
		}
		if _, err := ours.Member(advertised[0]).Status(ctx); err == nil {
			t.Fatal("the port for gRPC serves the gateway: the test shows nothing")
		}
		if err := ours.Sync(ctx); err != nil {
			t.Error(err)
		}
		if s := ours.Endpoints(); len(s) != 1 || s[0].URL != c.Endpoints()[0] || !s[0].Healthy {
			t.Errorf("endpoints %+v", s)
		}
		must(ours.Put(ctx, "k", []byte("v")))(t)
		if v := must(c.ClientV3(t).Get(ctx, "k"))(t); string(v.Kvs[0].Value) != "v" {
			t.Errorf("clientv3 reads %v", v.Kvs)
		}
	})
}

// TestSyncIgnoresAnotherCluster: an advertised address of another cluster is not used.
func TestSyncIgnoresAnotherCluster(t *testing.T) {
	options := recipetest.Server(etcdproc.Versions()[0])
	stranger := cluster.Endpoints()[0]
	options.ExtraArgs = append(options.ExtraArgs, "--advertise-client-urls="+stranger)
	c := etcdtest.Start(t, options)
	ours := newClient(t, gateway.Config{Endpoints: c.Endpoints()})
	ctx := within(t, patience)
	if urls := must(ours.Cluster().MemberList(ctx))(t).Members[0].ClientURLs; !slices.Equal(urls,
		[]string{stranger}) {
		t.Fatalf("advertised %v", urls)
	}
	if err := ours.Sync(ctx); err != nil {
		t.Error(err)
	}
	if s := ours.Endpoints(); len(s) != 1 || s[0].URL != c.Endpoints()[0] {
		t.Errorf("endpoints %+v", s)
	}
	if _, err := ours.Member(stranger).Status(ctx); !errors.Is(err, gateway.ErrClusterMismatch) {
		t.Errorf("Status of the other cluster: %v", err)
	}
}
