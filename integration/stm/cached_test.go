package stm_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// cached: goroutines of two sessions that remember a key, which both change, lose nothing; and a
// transaction that only reads has the last value.
func cached(t *testing.T, c *gateway.Client, s *session.Session) {
	const goroutines, each = 3, 10
	for name, level := range levels {
		if level == stm.ReadCommitted {
			continue
		}
		key := fresh(t)
		opts := &stm.Options{Isolation: level, Cache: true}
		other := newSession(t, c, nil)
		var of sync.WaitGroup
		for _, from := range []*session.Session{s, other} {
			for range goroutines {
				of.Go(func() {
					for range each {
						if _, err := stm.Do(within(t, time.Minute), from, func(tx *stm.Tx) error {
							return add(tx, key, 1)
						}, opts); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		of.Wait()
		for _, from := range []*session.Session{s, other} {
			var got string
			_, err := stm.Do(within(t, time.Minute), from, func(tx *stm.Tx) error {
				value, err := tx.Get(key)
				got = string(value)
				return err
			}, opts)
			if want := strconv.Itoa(2 * goroutines * each); err != nil || got != want {
				t.Errorf("%s: %s, want %s; %v", name, got, want, err)
			}
		}
	}
}
