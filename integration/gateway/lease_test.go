package gateway_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// TestLeasesMatchClientV3 makes all calls about leases, with IDs up to the ends of int64, and
// checks by clientv3.
func TestLeasesMatchClientV3(t *testing.T) {
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		for _, id := range []gateway.LeaseID{
			0, 1, 1 << 53, 1<<53 + 1, math.MaxInt64,
			-1, math.MinInt64,
		} {
			before := time.Now()
			g := must(ours.Grant(ctx, id, 59001*time.Millisecond))(t)
			if id != 0 && g.ID != id || g.ID == 0 || g.TTL != time.Minute ||
				g.Sent.Before(before) || g.Sent.After(time.Now()) {
				t.Errorf("grant of %d: %+v", id, g)
			}
			their := clientv3.LeaseID(g.ID)
			if info := must(theirs.TimeToLive(ctx, their))(t); info.GrantedTTL != 60 ||
				info.TTL > 60 || info.TTL < 50 {
				t.Errorf("clientv3 sees %+v", info)
			}
			must(ours.Put(ctx, "inside", nil, gateway.WithLease(g.ID)))(t)
			must(ours.Put(ctx, "a\x00\xff", nil, gateway.WithLease(g.ID)))(t)
			must(theirs.Put(ctx, "outside/"+ns, "", clientv3.WithLease(their)))(t)

			info := must(ours.TimeToLive(ctx, g.ID, true))(t)
			slices.Sort(info.Keys)
			if info.ID != g.ID || info.GrantedTTL != time.Minute || info.TTL > time.Minute ||
				info.TTL < 50*time.Second ||
				!slices.Equal(info.Keys, []string{"a\x00\xff", "inside"}) {
				t.Errorf("%+v", info)
			}
			if info := must(ours.TimeToLive(ctx, g.ID, false))(t); info.Keys != nil {
				t.Errorf("%+v", info)
			}
			all := must(theirs.Leases(ctx))(t).Leases
			ids := must(ours.Leases(ctx))(t)
			if len(ids) != len(all) || !slices.Contains(ids, g.ID) {
				t.Errorf("%v, clientv3 lists %v", ids, all)
			}
			again := must(ours.KeepAliveOnce(ctx, g.ID))(t)
			if again.ID != g.ID || again.TTL != time.Minute || again.Sent.Before(g.Sent) {
				t.Errorf("renewed as %+v", again)
			}
			if g, err := ours.Grant(ctx, g.ID, time.Minute); err == nil ||
				errors.Is(err, gateway.ErrUncertain) {
				t.Errorf("granted twice: %+v, %v", g, err)
			}
			if err := ours.Revoke(ctx, g.ID); err != nil {
				t.Fatal(err)
			}
			if info := must(theirs.TimeToLive(ctx, their))(t); info.TTL != -1 {
				t.Errorf("after Revoke clientv3 sees %+v", info)
			}
			for _, key := range []string{ns + "inside", ns + "a\x00\xff", "outside/" + ns} {
				if n := must(theirs.Get(ctx, key))(t).Count; n != 0 {
					t.Errorf("%q outlives its lease", key)
				}
			}
			_, ttlErr := ours.TimeToLive(ctx, g.ID, true)
			_, keepErr := ours.KeepAliveOnce(ctx, g.ID)
			for _, err := range []error{ours.Revoke(ctx, g.ID), ttlErr, keepErr} {
				if !errors.Is(err, gateway.ErrLeaseNotFound) {
					t.Errorf("a lease that is gone: %v", err)
				}
			}
		}
		longest := must(ours.Grant(ctx, 0, gateway.MaxTTL))(t)
		info := must(theirs.TimeToLive(ctx, clientv3.LeaseID(longest.ID)))(t)
		if info.GrantedTTL != int64(gateway.MaxTTL/time.Second) {
			t.Errorf("clientv3 sees %+v", info)
		}
		if err := ours.Revoke(ctx, longest.ID); err != nil {
			t.Error(err)
		}
	})
}

// TestLeasesAreRenewedUntilTheyStop renews leases until it stops: one granted here and one of which
// only the ID is known. Then they expire. One that is revoked meanwhile is reported gone.
func TestLeasesAreRenewedUntilTheyStop(t *testing.T) {
	t.Parallel()
	forEachVersion(t, func(t *testing.T, c *etcdtest.Cluster) {
		ours, ns, theirs := both(t, c)
		ctx := within(t, patience)
		granted := must(ours.Grant(ctx, 0, 2*time.Second))(t)
		adopted := gateway.LeaseID(must(theirs.Grant(ctx, 2))(t).ID)
		revoked := must(ours.Grant(ctx, 0, 2*time.Second))(t)
		gone := must(ours.Watch(ctx, "", gateway.Prefix(), gateway.NoPut()))(t)
		answers := make(chan gateway.LeaseGrant, 1000)
		tell := func(g gateway.LeaseGrant) { answers <- g }
		var stops []func()
		for _, g := range []gateway.LeaseGrant{granted, {ID: adopted}, revoked} {
			must(theirs.Put(ctx, fmt.Sprintf("%s%v", ns, g.ID), "",
				clientv3.WithLease(clientv3.LeaseID(g.ID))))(t)
			stops = append(stops, ours.KeepAlive(g, tell))
		}
		began := time.Now()
		count := map[gateway.LeaseID]int{}
		for count[granted.ID] < 4 || count[adopted] < 4 { // longer than the TTL
			select {
			case g := <-answers:
				if count[g.ID]++; g.TTL != 2*time.Second && g.ID != revoked.ID {
					t.Fatalf("%+v", g)
				}
				if g.ID == revoked.ID && count[g.ID] == 2 {
					must(theirs.Revoke(ctx, clientv3.LeaseID(g.ID)))(t)
				}
				if g.ID == revoked.ID && (g.TTL <= 0) != (count[g.ID] >= 3) {
					t.Errorf("answer %d: %+v", count[g.ID], g)
				}
			case <-ctx.Done():
				t.Fatal(count)
			}
		}
		if kept := time.Since(began); kept < 2*time.Second {
			t.Errorf("four renewals within %v", kept)
		}
		for _, g := range []gateway.LeaseID{granted.ID, adopted} {
			if one(t, theirs, ns, g.String()) == nil {
				t.Errorf("lease %v expired while it was kept", g)
			}
		}
		for _, stop := range stops {
			stop()
		}
		ended := map[string]bool{}
		for ev, err := range gone.Events() {
			if err != nil {
				t.Fatalf("%v: only %v have ended", err, ended)
			}
			if ended[ev.KV.Key] = true; len(ended) == 3 {
				break
			}
		}
		if count[revoked.ID] != 3 {
			t.Errorf("%d answers about the revoked lease", count[revoked.ID])
		}
	})
}
