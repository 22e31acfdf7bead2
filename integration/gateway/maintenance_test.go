package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestMaintenanceWorksOnThreeMembers makes the calls on three members.
func TestMaintenanceWorksOnThreeMembers(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		options := recipetest.Server(version)
		options.Members = 3
		c := etcdtest.Start(t, options)
		ours := newClient(t, gateway.Config{Endpoints: c.Endpoints()})
		theirs := c.ClientV3(t)
		for name, test := range map[string]func(*testing.T, *etcdtest.Cluster, *gateway.Client,
			*clientv3.Client){
			"status": status, "hash": hashes, "move leader": moveLeader,
			"alarm": alarms, "defragment": defragment, "downgrade": downgrade,
		} {
			t.Run(name, func(t *testing.T) { test(t, c, ours, theirs) })
		}
	})
}

// status compares each member until both clients agree: a member that has just started learns its
// storage version a little later, and the size of a database changes between two calls. Values that
// change between two requests are left out.
func status(t *testing.T, c *etcdtest.Cluster, ours *gateway.Client, theirs *clientv3.Client) {
	ctx := within(t, patience)
	for _, m := range c.Members() {
		var differ []string
		deadline := time.Now().Add(patience / 2)
		for ok := false; !ok; ok = len(differ) == 0 || time.Now().After(deadline) {
			differ = statusDiffers(t, ctx, m, ours, theirs)
		}
		for _, d := range differ {
			t.Errorf("%s: %s", m.Name(), d)
		}
		if h := must(ours.Member(m.Endpoint()).Health(ctx))(t); !h.Healthy || h.Reason != "" {
			t.Errorf("%s: health %+v", m.Name(), h)
		}
		if c.Version() == "3.4" {
			continue // Debian's build has neither page
		}
		if err := errors.Join(ours.Member(m.Endpoint()).Readyz(ctx),
			ours.Member(m.Endpoint()).Livez(ctx)); err != nil {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
}

func statusDiffers(
	t *testing.T, ctx context.Context, m *etcdproc.Member, ours *gateway.Client,
	theirs *clientv3.Client,
) (differ []string) {
	got := must(ours.Member(m.Endpoint()).Status(ctx))(t)
	want := must(theirs.Status(ctx, m.Endpoint()))(t)
	v := must(ours.Member(m.Endpoint()).Version(ctx))(t)
	for what, pair := range map[string][2]any{
		"member":          {got.MemberID, m.ID()},
		"cluster":         {got.ClusterID, want.Header.ClusterId},
		"version":         {got.Version, want.Version},
		"storage version": {got.StorageVersion, want.StorageVersion},
		"size":            {got.DBSize, want.DbSize}, "in use": {got.DBSizeInUse, want.DbSizeInUse},
		"quota":  {got.DBSizeQuota, want.DbSizeQuota},
		"leader": {got.Leader, want.Leader}, "term": {got.RaftTerm, want.RaftTerm},
		"learner": {got.IsLearner, want.IsLearner}, "errors": {len(got.Errors), len(want.Errors)},
		"version of the server":  {v.Server, want.Version},
		"version of the storage": {v.Storage, want.StorageVersion},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			differ = append(differ, fmt.Sprintf("%s is %v, want %v", what, pair[0], pair[1]))
		}
	}
	if got.RaftIndex == 0 || got.RaftAppliedIndex == 0 || got.Leader == 0 ||
		got.DBSize == 0 || v.Cluster == "" {
		differ = append(differ, fmt.Sprintf("%+v, %+v", got, v))
	}
	return differ
}

// hashes are the same on all members, and clientv3's.
func hashes(t *testing.T, c *etcdtest.Cluster, ours *gateway.Client, theirs *clientv3.Client) {
	ctx := within(t, patience)
	key := fresh(t)
	rev := must(theirs.Put(ctx, key, "1"))(t).Header.Revision
	must(theirs.Put(ctx, key, "2"))(t)
	for _, m := range c.Members() {
		must(c.ClientV3(t, m.GRPCEndpoint()).Get(ctx, key))(t) // it waits until the member has both
		before := must(ours.Member(m.Endpoint()).Hash(ctx))(t)
		if before.Hash == 0 || before.MemberID != m.ID() {
			t.Errorf("%s: hash %+v", m.Name(), before)
		}
		if c.Version() == "3.4" {
			if _, err := ours.Member(m.Endpoint()).HashKV(ctx,
				rev); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: hash kv: %v", m.Name(), err)
			}
			continue
		}
		for _, at := range []int64{0, rev} {
			got := must(ours.Member(m.Endpoint()).HashKV(ctx, at))(t)
			want := must(theirs.HashKV(ctx, m.Endpoint(), at))(t)
			if got.Hash != want.Hash || got.CompactRevision != want.CompactRevision ||
				got.HashRevision != want.HashRevision {
				t.Errorf("%s at %d: %+v, clientv3 says %+v", m.Name(), at, got, want)
			}
		}
		if a, b := must(ours.Member(m.Endpoint()).HashKV(ctx, 0))(t),
			must(ours.Member(m.Endpoint()).HashKV(ctx, rev))(t); a.Hash == b.Hash {
			t.Errorf("%s: the revision makes no difference", m.Name())
		}
	}
}

func moveLeader(t *testing.T, c *etcdtest.Cluster, ours *gateway.Client, theirs *clientv3.Client) {
	ctx := within(t, patience)
	for range 2 {
		leader := c.FindLeader(t)
		for _, m := range c.Members() {
			if m == leader {
				continue
			}
			if err := ours.Cluster().MoveLeader(ctx, m.ID()); err != nil {
				t.Fatal(err)
			}
			if s := must(theirs.Status(ctx, m.GRPCEndpoint()))(t); s.Leader != m.ID() {
				t.Errorf("%x leads, want %x", s.Leader, m.ID())
			}
			if err := ours.Cluster().MoveLeader(ctx, m.ID()); err != nil {
				t.Errorf("once more: %v", err)
			}
			break
		}
	}
	err := ours.Cluster().MoveLeader(ctx, 77)
	if e, ok := errors.AsType[*gateway.Error](err); !ok ||
		e.Code != gateway.CodeFailedPrecondition {
		t.Errorf("to nobody: %v", err)
	}
}

// alarms are raised, listed, effective, and disarmed one by one and all together.
func alarms(t *testing.T, c *etcdtest.Cluster, ours *gateway.Client, theirs *clientv3.Client) {
	ctx := within(t, patience)
	raised := func() (all []gateway.Alarm) {
		for _, a := range must(theirs.AlarmList(ctx))(t).Alarms {
			all = append(all, gateway.Alarm{
				MemberID: a.MemberID, Type: gateway.AlarmType(a.Alarm.String()),
			})
		}
		return all
	}
	if a := must(ours.Cluster().AlarmList(ctx))(t).Alarms; len(a) != 0 {
		t.Fatalf("alarms %v", a)
	}
	one := gateway.Alarm{MemberID: c.Member(1).ID(), Type: gateway.AlarmNoSpace}
	two := gateway.Alarm{MemberID: c.Member(2).ID(), Type: gateway.AlarmNoSpace}
	for _, a := range []gateway.Alarm{one, two} {
		if got := must(ours.Cluster().AlarmActivate(ctx,
			a))(t).Alarms; fmt.Sprint(got) != fmt.Sprint([]gateway.Alarm{a}) {
			t.Errorf("AlarmActivate: %v", got)
		}
	}
	if got := raised(); len(got) != 2 {
		t.Errorf("clientv3 sees %v", got)
	}
	if got := must(ours.Cluster().AlarmList(ctx))(t).Alarms; len(got) != 2 {
		t.Errorf("AlarmList: %v", got)
	}
	if _, err := ours.Put(ctx, fresh(t), nil); !errors.Is(err, gateway.ErrNoSpace) {
		t.Errorf("Put under the alarm: %v", err)
	}
	if h := must(ours.Member(c.Endpoints()[0]).Health(ctx))(t); h.Healthy ||
		h.Reason != "ALARM NOSPACE" && c.Version() != "3.4" {
		t.Errorf("health %+v", h)
	}
	if got := must(ours.Cluster().AlarmDisarm(ctx,
		one))(t).Alarms; fmt.Sprint(got) != fmt.Sprint([]gateway.Alarm{one}) {
		t.Errorf("AlarmDisarm: %v", got)
	}
	if got := raised(); fmt.Sprint(got) != fmt.Sprint([]gateway.Alarm{two}) {
		t.Errorf("clientv3 sees %v, want %v", got, two)
	}
	must(ours.Cluster().AlarmActivate(ctx, one))(t)
	if got := must(ours.Cluster().AlarmDisarm(ctx, gateway.Alarm{}))(t).Alarms; len(got) != 2 {
		t.Errorf("AlarmDisarm of all: %v", got)
	}
	if got := raised(); len(got) != 0 {
		t.Errorf("clientv3 sees %v", got)
	}
	must(ours.Put(ctx, fresh(t), nil))(t)
}

// defragment frees disk space of one member only.
func defragment(t *testing.T, c *etcdtest.Cluster, ours *gateway.Client, theirs *clientv3.Client) {
	ctx := within(t, time.Minute)
	key := fresh(t)
	var rev int64
	for range 20 {
		rev = must(theirs.Put(ctx, key, string(make([]byte, 200<<10))))(t).Header.Revision
	}
	must(theirs.Compact(ctx, rev, clientv3.WithCompactPhysical()))(t)
	sizes := func() (sizes [3]int64) {
		for i, m := range c.Members() {
			sizes[i] = must(theirs.Status(ctx, m.GRPCEndpoint()))(t).DbSize
		}
		return sizes
	}
	eventually(t, "compaction everywhere", func() bool {
		must(theirs.Put(ctx, key+"/small", ""))(t) // pages are freed by later commits
		for _, m := range c.Members() {
			if s := must(theirs.Status(ctx, m.GRPCEndpoint()))(t); s.DbSizeInUse > s.DbSize/2 {
				return false
			}
		}
		return true
	})
	before := sizes()
	if err := ours.Member(c.Member(1).Endpoint()).Defragment(ctx); err != nil {
		t.Fatal(err)
	}
	after := sizes()
	if after[1] > before[1]/2 || after[0] != before[0] || after[2] != before[2] {
		t.Errorf("sizes %v, and before %v", after, before)
	}
}

// downgrade enables a downgrade and cancels it. etcd 3.5 implements it only in part: it never
// answers the call that enables one.
func downgrade(t *testing.T, c *etcdtest.Cluster, ours *gateway.Client, theirs *clientv3.Client) {
	ctx := within(t, patience)
	var minor int
	if _, err := fmt.Sscanf(c.Version(), "3.%d", &minor); err != nil {
		t.Fatal(err)
	}
	target := fmt.Sprintf("3.%d.0", minor-1)
	if c.Version() == "3.4" {
		if _, err := ours.Cluster().Downgrade(ctx, gateway.DowngradeValidate,
			target); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("DowngradeValidate: %v", err)
		}
		return
	}
	shown := func() *etcdserverpb.DowngradeInfo {
		return must(theirs.Status(ctx, c.Member(0).GRPCEndpoint()))(t).DowngradeInfo
	}
	if _, err := ours.Cluster().Downgrade(ctx, gateway.DowngradeValidate,
		"3.1.0"); !errors.Is(err, gateway.ErrInvalid) {
		t.Errorf("to 3.1: %v", err)
	}
	if v, err := ours.Cluster().Downgrade(ctx, gateway.DowngradeValidate, target); err != nil ||
		v == "" {
		t.Errorf("DowngradeValidate: %q, %v", v, err)
	}
	if d := shown(); d.GetEnabled() {
		t.Errorf("validated, and %v", d)
	}
	if c.Version() == "3.5" {
		_, err := ours.Cluster().Downgrade(ctx, gateway.DowngradeCancel, "")
		if e, ok := errors.AsType[*gateway.Error](err); !ok ||
			e.Code != gateway.CodeFailedPrecondition {
			t.Errorf("called off what was not begun: %v", err)
		}
		return
	}
	if _, err := ours.Cluster().Downgrade(ctx, gateway.DowngradeEnable, target); err != nil {
		t.Fatal(err)
	}
	// a member may be slightly behind the one that answered
	eventually(t, "downgrade in clientv3's eyes", func() bool {
		d := shown()
		return d.GetEnabled() && d.GetTargetVersion() == target
	})
	want := gateway.DowngradeInfo{Enabled: true, Target: target}
	if s := must(ours.Member(c.Endpoints()[0]).Status(ctx))(t).Downgrade; s != want {
		t.Errorf("enabled, and Status says %+v", s)
	}
	if _, err := ours.Cluster().Downgrade(ctx, gateway.DowngradeCancel, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return !shown().GetEnabled() })
}
