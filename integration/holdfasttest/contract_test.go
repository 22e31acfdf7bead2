package holdfasttest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdtest"
)

// runs are compared, each with a seed and servers of its own.
const (
	runs       = 4
	operations = 2500
)

// TestContractOfTheFake sends random requests to the etcd in memory and to real ones, and compares
// the answers, the errors and the events of watches. HOLDFAST_CONTRACT_SEED repeats a run.
func TestContractOfTheFake(t *testing.T) {
	etcdtest.ForEachVersion(t, compareFake)
}

func compareFake(t *testing.T, version string) {
	seeds := make([]uint64, runs)
	for i := range seeds {
		seeds[i] = uint64(time.Now().UnixNano()) + uint64(i)
	}
	if given := os.Getenv("HOLDFAST_CONTRACT_SEED"); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for i, seed := range seeds {
		t.Run(fmt.Sprint("run ", i), func(t *testing.T) {
			t.Parallel()
			t.Logf("seed: %d", seed)
			c := newContract(seed, newFake(t, mutation{}), newReal(t, version))
			if err := c.run(t, operations); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			t.Logf("answers by status: %v; messages of watches: %d", c.statuses, c.messages)
		})
	}
}

// contract compares two servers.
type contract struct {
	g          *generator
	one, other *target
	live       []int // the IDs of watches
	nextID     int
	acks       int

	statuses map[int]int    // answers by status
	compared map[string]int // equal messages of each watch
	messages int            // of all watches
}

func newContract(seed uint64, one, other *target) *contract {
	one.version = other.version
	return &contract{
		g: newGenerator(seed), one: one, other: other,
		statuses: map[int]int{},
		compared: map[string]int{},
	}
}

var errDiffer = errors.New("the servers differ")

// run sends n requests to both servers and returns an error at the first difference.
func (c *contract) run(t *testing.T, n int) error {
	t.Helper()
	for i := range n {
		if err := c.step(t); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return c.settle(t)
}

func (c *contract) step(t *testing.T) error {
	t.Helper()
	switch n := c.g.IntN(1000); {
	case n < 20 && len(c.live) < 12:
		return c.watch()
	case n < 24 && len(c.live) > 0:
		return c.cancel(t)
	case n < 26:
		// Etcd catches up in steps of 100 ms, and would report the compaction to a watch that is
		// behind.
		if err := c.settle(t); err != nil {
			return err
		}
		return c.compare(t, c.g.compaction())
	}
	return c.compare(t, c.g.next())
}

// compare sends a request to both servers, and keeps the revisions that later ones are drawn from.
func (c *contract) compare(t *testing.T, r request) error {
	t.Helper()
	one, other := c.one.do(t, r), c.other.do(t, r)
	if one != other {
		return fmt.Errorf("%w: %s\n%s: %s\n%s: %s", errDiffer, r, c.one.name, one, c.other.name,
			other)
	}
	var a struct {
		Status int `json:"status"`
		Answer struct {
			Header struct {
				Revision int64 `json:"revision,string"`
			} `json:"header"`
		} `json:"answer"`
	}
	_ = json.Unmarshal([]byte(other), &a) // an error has no revision
	c.statuses[a.Status]++
	c.g.rev = max(c.g.rev, a.Answer.Header.Revision)
	if r.path == "/kv/compaction" && a.Status == http.StatusOK {
		var body struct {
			Revision int64 `json:"revision,string"`
		}
		_ = json.Unmarshal(r.body, &body)
		c.g.compacted = body.Revision
	}
	return nil
}
