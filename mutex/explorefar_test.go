package mutex_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// TestExploreLongLines is TestExploreLocks with locks that find a long line, so that most waiters
// are admitted by a mark of their predecessor.
func TestExploreLongLines(t *testing.T) {
	t.Parallel()
	runs, _ := strconv.ParseUint(cmp.Or(os.Getenv("HOLDFAST_LOCK_SEEDS"), "10"), 10, 64)
	var marked atomic.Int64
	t.Run("runs", func(t *testing.T) {
		t.Parallel()
		for seed := range runs {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
					r := run{seed: seed, breaks: seed%2 == 1, far: true}
					n := explore(t, etcd, r, t.Errorf)
					marked.Add(int64(n))
				})
			})
		}
		t.Cleanup(func() {
			if n := marked.Load(); n < int64(runs) {
				t.Errorf("%d waiters were admitted by a mark", n)
			}
		})
	})
}

// lengthen puts keys below the names that are no members of them.
func lengthen(etcd *fakeetcd.Server) {
	for _, name := range []string{"a", "b"} {
		for i := range 80 {
			etcd.Put(fmt.Sprint(name, "/far/", i), "")
		}
	}
}

// members returns the keys of the members of both names.
func members(etcd *fakeetcd.Server) []string {
	keys := append(etcd.Keys("a/"), etcd.Keys("b/")...)
	return slices.DeleteFunc(keys, func(key string) bool {
		return strings.Contains(key, "/far/")
	})
}

// isMarked reports whether the answer to a waiter says that its predecessor has left its mark.
func isMarked(c *fakeetcd.Call, answer fakeetcd.Answer) bool {
	return c.IsTxn("/left") && !bytes.Contains(c.Body, []byte(`"request_put"`)) &&
		bytes.Contains(answer.Body, []byte(`"succeeded":true`))
}

// checkFirst checks that a member that was admitted by a mark is the first of its line.
func checkFirst(wrong func(string, ...any), etcd *fakeetcd.Server, c *fakeetcd.Call) {
	var question struct {
		Compare []struct{ Key []byte }
	}
	if err := json.Unmarshal(c.Body, &question); err != nil || len(question.Compare) != 2 {
		wrong("%s: %v", c.Body, err)
		return
	}
	me, _ := etcd.Get(string(question.Compare[1].Key))
	for _, key := range members(etcd) {
		other, _ := etcd.Get(key)
		if key[:2] == me.Key[:2] && other.CreateRevision < me.CreateRevision {
			wrong("%s was admitted by a mark behind %s", me.Key, key)
		}
	}
}
