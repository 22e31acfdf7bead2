package inspect

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestAllPagesOfKeysWithoutALeaseAreRead: all pages of keys with the prefix are read, up to a
// bound.
func TestAllPagesOfKeysWithoutALeaseAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		c := etcd.Client(t)
		for i := range 3 * pageSize {
			etcd.Put(fmt.Sprintf("a/%05d/x", i), "")
		}
		for _, name := range []string{"0", "a/00000", "a/02998", "b"} {
			etcd.Put(name+"/6dd18b3364141523", "")
		}
		for _, row := range []struct {
			prefix      string
			most, found int
			more        bool
		}{
			{"", 10 * pageSize, 4, false},
			{"a/", 10 * pageSize, 2, false},
			{"a/", 2 * pageSize, 1, true},
			{"a/02", 2 * pageSize, 1, false},
			{"c", 10 * pageSize, 0, false},
		} {
			names, more, err := Unleased(t.Context(), c, row.prefix, row.most)
			if err != nil || len(names) != row.found || more != row.more {
				t.Errorf("%+v: %v, %v, %v", row, names, more, err)
			}
			for key, name := range names {
				if key != name+"/6dd18b3364141523" {
					t.Errorf("%s is of %s", key, name)
				}
			}
		}
	})
}

// TestItemsOfAQueueAreNoMembers: items that are delayed or dead, and the IDs of items, look like
// members that have no lease, and are none.
func TestItemsOfAQueueAreNoMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		const id = "6dd18b3364141523"
		for _, key := range []string{
			"q//d/001795811733837/" + id + "-000000001", "q//x/" + id + "-000000001",
			"q//q/9/" + id, "q//u/" + id, "g//shards/7/" + id,
		} {
			etcd.Put(key, "")
		}
		names, _, err := Unleased(t.Context(), etcd.Client(t), "", pageSize)
		want := map[string]string{"g//shards/7/" + id: "g//shards/7"}
		if err != nil || !maps.Equal(names, want) {
			t.Errorf("%v, %v", names, err)
		}
	})
}
