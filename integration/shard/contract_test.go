package shard_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/shard"
)

// TestContract runs the tests that must pass on every version of etcd.
func TestContract(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		cfg := gateway.Config{Endpoints: own.Endpoints()}
		a, b := newClient(t, cfg), newClient(t, cfg)
		for name, test := range map[string]func(t *testing.T, a, b *gateway.Client){
			"Owners":  showOwners,
			"Leave":   leave,
			"Revoked": revoked,
			"Orders":  giveOrders,
		} {
			t.Run(name, func(t *testing.T) { test(t, a, b) })
		}
	})
}

// showOwners: a join moves the share of the new member, and Owner agrees with Observe.
func showOwners(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	defer run(t, a, group, "a", 9)()
	before := owners(t, b, group, 9, "a")
	defer run(t, b, group, "b", 9)()
	after := owners(t, b, group, 9, "a", "b")
	if n := moved(before, after); n > 5 {
		t.Errorf("%d shards have moved", n)
	}
	for s, id := range after {
		o, err := shard.Owner(within(t, time.Minute), a, group, s)
		if err != nil || o.Member.ID != id || o.Member.Value != "at "+id || o.Fence == 0 {
			t.Errorf("shard %d: %+v, %v; want %s", s, o, err, id)
		}
	}
}

// leave: a member that leaves hands over, and the last one leaves nothing but the assignment.
func leave(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	stopA, stopB := run(t, a, group, "a", 20), run(t, b, group, "b", 20)
	owners(t, b, group, 20, "a", "b")
	began := time.Now()
	stopA()
	figure(t, "10 shards handed over in %v", time.Since(began))
	owners(t, b, group, 20, "b")
	stopB()
	resp, err := b.Get(within(t, time.Minute), group+"/", gateway.Prefix())
	if err != nil || len(resp.KVs) != 1 || resp.KVs[0].Key != group+"//assignment" {
		t.Errorf("%+v, %v", resp, err)
	}
}

// revoked: a member whose lease is revoked has its shards again.
func revoked(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	defer run(t, a, group, "a", 10)()
	defer run(t, b, group, "b", 10)()
	before := owners(t, b, group, 10, "a", "b")
	o, err := shard.Owner(within(t, time.Minute), b, group, 0)
	if err == nil {
		err = b.Revoke(within(t, time.Minute), o.Member.Lease)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "another owner", func() bool {
		now, err := shard.Owner(within(t, time.Minute), b, group, 0)
		return err == nil && now.Fence > o.Fence
	})
	if n := moved(before, owners(t, b, group, 10, "a", "b")); n > 0 {
		t.Errorf("%d shards have moved", n)
	}
}

// giveOrders: a pause, a drain, values and loads on a real etcd.
func giveOrders(t *testing.T, a, b *gateway.Client) {
	group := fresh(t)
	defer run(t, a, group, "a", 6)()
	defer run(t, b, group, "b", 6)()
	owners(t, b, group, 6, "a", "b")
	ctx := within(t, time.Minute)
	if err := shard.Pause(ctx, b, group, 3, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := shard.Owner(ctx, b, group, 3); !errors.Is(err, shard.ErrNoOwner) {
		t.Errorf("Owner = %v", err)
	}
	if err := shard.Resume(ctx, b, group, 3); err != nil {
		t.Fatal(err)
	}
	owners(t, b, group, 6, "a", "b")
	if err := shard.Drain(ctx, a, group, "a", "test"); err != nil {
		t.Fatal(err)
	}
	owners(t, b, group, 6, "b")
	if err := shard.Undrain(ctx, a, group, "a"); err != nil {
		t.Fatal(err)
	}
	owners(t, b, group, 6, "a", "b")
	o, err := shard.Owner(ctx, a, group, 0)
	if err != nil || o.Value != "shard 0 of "+o.Member.ID {
		t.Errorf("%+v, %v", o, err)
	}
}
