package holdfasttest_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"

	"github.com/holdfast-go/holdfast/internal/fakeetcd"
)

// mutation makes the etcd in memory differ from etcd. The zero mutation changes nothing.
type mutation struct {
	script func(*fakeetcd.Call) fakeetcd.Answer
	alter  func(line []byte) []byte
}

// TestAFakeThatDiffersIsFound checks that the comparison finds faults of the etcd in memory.
func TestAFakeThatDiffersIsFound(t *testing.T) {
	const seed = 1
	for name, m := range map[string]mutation{
		"reads ignore their limit": {script: replaced(`"limit"`, `"unknown"`)},
		"unequal means equal":      {script: replaced(`"NOT_EQUAL"`, `"EQUAL"`)},
		"a revoked lease stays": {script: func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/lease/revoke" {
				return fakeetcd.Answer{Status: http.StatusOK, Body: []byte("{}")}
			}
			return c.Apply()
		}},
		"events have no earlier value": {alter: func(line []byte) []byte {
			return bytes.ReplaceAll(line, []byte(`"prev_kv"`), []byte(`"unknown"`))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The etcd in memory is the reference, which takes less time than etcd.
			c := newContract(seed, newFake(t, m), newFake(t, mutation{}))
			if err := c.run(t, operations); !errors.Is(err, errDiffer) {
				t.Errorf("not found in %d operations: %v", operations, err)
			}
		})
	}
}

// replaced changes all requests.
func replaced(text, by string) func(*fakeetcd.Call) fakeetcd.Answer {
	return func(c *fakeetcd.Call) fakeetcd.Answer {
		c.Body = bytes.ReplaceAll(c.Body, []byte(text), []byte(by))
		return c.Apply()
	}
}
