package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// TestEndpointsFollowTheAnswers: Endpoints follows the answers of the endpoints.
func TestEndpointsFollowTheAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bad bool // serves nothing
		cl := newCluster(t, 2, func(w http.ResponseWriter, r request) {
			if bad && r.member == 0 {
				etcdError(w, 503, 14, "etcdserver: request timed out")
				return
			}
			answer(w, 200,
				fmt.Sprintf(`{"header":{"cluster_id":"1","member_id":"%d","revision":"5"}}`,
					10+r.member))
		})
		c := cl.client(t)
		state := func(i int) gateway.EndpointState {
			t.Helper()
			states := c.Endpoints()
			if len(states) != 2 || states[0].URL != cl.urls[0] || states[1].URL != cl.urls[1] {
				t.Fatalf("%+v", states)
			}
			return states[i]
		}
		get := func() {
			t.Helper()
			if _, err := c.Get(within(t, time.Minute), "k"); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 2 {
			if s := state(i); s.Healthy || s.MemberID != 0 || !s.Since.IsZero() ||
				s.Err != nil || !s.FailedAt.IsZero() {
				t.Errorf("before any request: %+v", s)
			}
		}
		start := time.Now()
		get()
		first := slices.IndexFunc(c.Endpoints(), func(s gateway.EndpointState) bool {
			return s.InUse
		})
		if s := state(first); !s.Healthy || s.MemberID != uint64(10+first) ||
			!s.Since.Equal(start) || s.Err != nil {
			t.Errorf("after an answer: %+v", s)
		}
		if s := state(1 - first); s.Healthy || s.InUse || s.MemberID != 0 {
			t.Errorf("not asked: %+v", s)
		}
		for !state(0).InUse { // until the first endpoint is used, because the order is random
			bad = false
			if _, err := c.Member(cl.urls[0]).Status(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
			c = cl.client(t)
		}
		get()
		time.Sleep(time.Minute)
		bad = true
		failed := time.Now()
		get()
		s := state(0)
		if s.Healthy || s.InUse || !s.Since.Equal(failed) || !s.FailedAt.Equal(failed) ||
			!errors.Is(s.Err, gateway.ErrUnavailable) {
			t.Errorf("after a failure: %+v", s)
		}
		if s := state(1); !s.Healthy || !s.InUse || s.MemberID != 11 {
			t.Errorf("after the other's failure: %+v", s)
		}
		time.Sleep(time.Minute)
		bad = false
		recovered := time.Now()
		if _, err := c.Member(cl.urls[0]).Status(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		s = state(0)
		if !s.Healthy || !s.Since.Equal(recovered) || !s.FailedAt.Equal(failed) || s.Err == nil {
			t.Errorf("after the recovery: %+v", s)
		}
		time.Sleep(time.Minute)
		if _, err := c.Member(cl.urls[0]).Status(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		if s := state(0); !s.Since.Equal(recovered) {
			t.Errorf("since %v, recovered %v", s.Since, recovered)
		}
	})
}
