package core_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		base := "a/" + s.Lease().String()
		k0, _, free0 := core.Of(s).ReserveKey("a")
		k1, _, free1 := core.Of(s).ReserveKey("a")
		other, _, _ := core.Of(s).ReserveKey("b")
		free0()
		again, _, _ := core.Of(s).ReserveKey("a")
		k2, _, _ := core.Of(s).ReserveKey("a")
		free1()
		k1again, _, _ := core.Of(s).ReserveKey("a")
		if k0 != base || k1 != base+"-1" || again != base || k2 != base+"-2" || k1again != k1 ||
			other != "b/"+s.Lease().String() {
			t.Error(k0, k1, again, k2, k1again, other)
		}
	})
}

// TestSlotsOfLives: the keys of all processes of a session differ, and each key is adopted once.
func TestSlotsOfLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		s := open(t, etcd, nil)
		lease := s.Lease()
		seen := map[string]bool{}
		var keys, others []string
		for _, id := range []string{lease.String() + "0", "1" + lease.String(), "x"} {
			others = append(others, "a/"+id, "a/"+id+"-1")
		}
		for life := range 3 {
			if got := core.Of(s).AdoptKeys("a/", append(others, keys...)); !slices.Equal(got, keys) {
				t.Errorf("life %d inherits %v, not %v", life, got, keys)
			}
			for range 300 {
				key, _, _ := core.Of(s).ReserveKey("a")
				if seen[key] || !strings.HasPrefix(key, "a/"+lease.String()) || strings.Count(key, "/") != 1 {
					t.Errorf("life %d: %s", life, key)
				}
				seen[key] = true
				if len(keys)%3 == 0 { // as a line marks it
					key = "a/0" + strings.TrimPrefix(key, "a/") + "-p7"
				}
				keys = append(keys, key)
			}
			if got := core.Of(s).AdoptKeys("a/", keys); len(got) != 0 {
				t.Errorf("life %d inherits what it has: %v", life, got)
			}
			if got := core.Of(s).AdoptKeys("b/", keys); len(got) != 0 {
				t.Errorf("life %d inherits from elsewhere: %v", life, got)
			}
			s.Orphan()
			s = resume(t, etcd, lease, nil)
		}
	})
}

// TestLeft: OwnedByPredecessor holds for the keys that an earlier process has put, unless they were
// put again since, and for no others.
func TestLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		old := open(t, etcd, nil)
		hold(t, old, "old")
		hold(t, old, "again")
		hold(t, open(t, etcd, nil), "theirs")
		etcd.Put("nobody's", "")
		old.Orphan()
		s := resume(t, etcd, old.Lease(), nil)
		hold(t, s, "new")
		etcd.Touch("again")
		for key, want := range map[string]bool{
			"old": true, "again": false, "new": false, "theirs": false, "nobody's": false, "none": false,
		} {
			resp, err := s.Client().Txn(t.Context(), gateway.Txn{If: core.Of(s).OwnedByPredecessor(key)})
			if err != nil || resp.Succeeded != want {
				t.Errorf("%s: %+v, %v", key, resp, err)
			}
		}
	})
}
