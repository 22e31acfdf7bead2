package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

func TestAnotherClusterIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var id atomic.Int64
		cl := newCluster(t, 1, func(w http.ResponseWriter, _ request) {
			answer(w, 200,
				fmt.Sprintf(`{"header":{"cluster_id":"%d","revision":"5"}}`, uint64(id.Load())))
		})
		c := cl.client(t)
		id.Store(-5) // larger than any int64
		if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
			t.Fatal(err)
		}
		id.Store(8)
		_, err := c.Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrClusterMismatch), list(context.DeadlineExceeded))
		_, err = c.Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrClusterMismatch, gateway.ErrUncertain), nil)
		id.Store(0) // an answer without an ID
		_, err = c.Get(within(t, time.Minute), "k")
		wantErr(t, err, list(gateway.ErrProtocol), list(context.DeadlineExceeded))
	})
}

func TestARevisionThatGoesBackIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rev atomic.Int64
		release := make(chan struct{})
		cl := newCluster(t, 1, func(w http.ResponseWriter, r request) {
			now := rev.Load()
			if strings.Contains(r.body, "c2xvdw==") { // "slow"
				<-release
			}
			answer(w, 200, fmt.Sprintf(`{"header":{"cluster_id":"7","revision":"%d"}}`, now))
		})
		c := cl.client(t)
		get := func(key string, opts ...gateway.Option) error {
			_, err := c.Get(within(t, time.Minute), key, opts...)
			return err
		}
		rev.Store(10)
		slow := make(chan error)
		go func() { slow <- get("slow") }()
		synctest.Wait()
		rev.Store(20)
		if err := get("k"); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-slow; err != nil {
			t.Errorf("an answer of 10 to a request that was sent before 20 was known: %v", err)
		}
		rev.Store(19)
		for name, err := range map[string]error{
			"serializable": get("k", gateway.Serializable()),
			"of the past":  get("k", gateway.AtRevision(3)),
			"empty": func() error {
				_, err := c.Txn(within(t, time.Minute), gateway.Txn{})
				return err
			}(),
		} {
			if err != nil {
				t.Errorf("a %s read may be behind, got %v", name, err)
			}
		}
		wantErr(t, get("k"), list(gateway.ErrRevisionRegressed), list(context.DeadlineExceeded))
		_, err := c.Put(within(t, time.Minute), "k", nil)
		wantErr(t, err, list(gateway.ErrRevisionRegressed, gateway.ErrUncertain), nil)
		rev.Store(20)
		if err := get("k"); err != nil {
			t.Error(err)
		}
	})
}
