// Package adapters_test runs the schedulers and the tools of migrations for which there are
// adapters, on real etcd.
package adapters_test

import (
	"sync"
	"testing"

	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// cluster is one member that the tests of the package share.
var cluster recipetest.Shared

var (
	figure     = recipetest.Figure
	within     = recipetest.Within
	fresh      = recipetest.Fresh
	eventually = recipetest.Eventually
)

func TestMain(m *testing.M) { cluster.Main(m) }

// counter counts runs by a key.
type counter[K comparable] struct {
	mu  sync.Mutex
	all map[K]int
}

func (c *counter[K]) add(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[K]int{}
	}
	c.all[key]++
}

func (c *counter[K]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// twice returns how many keys were counted more than once.
func (c *counter[K]) twice() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, count := range c.all {
		if count > 1 {
			n++
		}
	}
	return n
}
