package mutex_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
	"github.com/holdfast-go/holdfast/mutex"
)

// TestANameMayHaveAnyBytes: a name may have any bytes. These names are different locks, which can
// all be held at once.
func TestANameMayHaveAnyBytes(t *testing.T) {
	recipetest.ForEachServer(t, func(t *testing.T, own *etcdtest.Cluster) {
		c := recipetest.NewClient(t, gateway.Config{Endpoints: own.Endpoints()})
		s := recipetest.NewSession(t, c, nil)
		ctx := recipetest.Within(t, 2*recipetest.Patience)
		names := []string{
			"\x00", "\x00\x00", "\xff", "\xff\xff", "\xc3(", "ü", " ", "\n", "%2f", "-1",
			strings.Repeat("n", 64<<10), strings.Repeat("n", 64<<10) + "n",
		}
		var held []*mutex.Lock
		for _, name := range names {
			l, err := mutex.New(s, name, nil).Lock(ctx)
			if err != nil {
				t.Fatalf("%.20q: %v", name, err)
			}
			held = append(held, l)
		}
		for i, name := range names {
			if _, err := mutex.New(s, name, nil).TryLock(ctx); !errors.Is(err, mutex.ErrLocked) {
				t.Errorf("%.20q: a second lock: %v", name, err)
			}
			if want := fmt.Sprintf("%s/%x", name, int64(s.Lease())); held[i].Key() != want {
				t.Errorf("%.20q: the key is %.40q", name, held[i].Key())
			}
			if err := held[i].Unlock(ctx); err != nil {
				t.Errorf("%.20q: %v", name, err)
			}
			if left := recipetest.Members(t, c, name); len(left) > 0 {
				t.Errorf("%.20q: %.40q is left", name, left)
			}
		}
	})
}
