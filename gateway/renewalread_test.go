package gateway_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// arriving is a body of which one line arrives at a time. It counts the reads that had to wait.
type arriving struct {
	lines []string
	each  time.Duration // between two lines
	next  time.Time
	waits int
}

func (a *arriving) Read(b []byte) (n int, err error) {
	if len(a.lines) == 0 {
		return 0, io.EOF
	}
	if wait := time.Until(a.next); wait > 0 {
		a.waits++
		time.Sleep(wait)
	}
	for len(a.lines) > 0 && len(b)-n >= len(a.lines[0]) && !a.next.After(time.Now()) {
		n += copy(b[n:], a.lines[0])
		a.lines = a.lines[1:]
		a.next = a.next.Add(a.each)
	}
	return n, nil
}

func (*arriving) Close() error { return nil }

// TestRenewalIsReadOnceWhole: etcd sends the answer about each lease on its own, and the client
// does not wake for each. Answers that come later than expected are read nevertheless.
func TestRenewalIsReadOnceWhole(t *testing.T) {
	t.Parallel()
	const leases = 100
	for name, tt := range map[string]struct {
		each  time.Duration
		waits int // at most
	}{
		"in time": {20 * time.Microsecond, 0},
		"late":    {10 * time.Millisecond, leases},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				body := &arriving{each: tt.each}
				for i := range leases {
					body.lines = append(body.lines, renewed(gateway.LeaseID(i+1), 9))
				}
				rt := func(*http.Request) (*http.Response, error) {
					body.next = time.Now()
					resp := reply(http.StatusOK, "")
					resp.Body = body
					return resp, nil
				}
				c, err := gateway.New(gateway.Config{
					Endpoints: []string{"http://a:1"}, Transport: roundTripper(rt),
				})
				if err != nil {
					t.Fatal(err)
				}
				all := make([]*grants, leases)
				for i := range all {
					all[i], _ = keep(c, gateway.LeaseID(i+1), 9*time.Second)
				}
				time.Sleep(5 * time.Second)
				for i, g := range all {
					if n := len(g.all()); n != 1 {
						t.Fatalf("lease %d was renewed %d times", i+1, n)
					}
				}
				if body.waits > tt.waits {
					t.Errorf("%d reads waited", body.waits)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
