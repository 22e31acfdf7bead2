package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// answering answers every request with the same body.
type answering []byte

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.Body.Close()
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: -1,
		Body: io.NopCloser(bytes.NewReader(a)),
	}, nil
}

// BenchmarkRenewal is the work for one request that renews many leases, without the network.
func BenchmarkRenewal(b *testing.B) {
	const leases = 500
	var body bytes.Buffer
	var told sync.WaitGroup
	all := make([]*kept, leases)
	for i := range all {
		grant := LeaseGrant{ID: NewLeaseID(), TTL: 15 * time.Second, Sent: time.Now()}
		all[i] = &kept{LeaseGrant: grant, most: grant.TTL, fn: func(LeaseGrant) { told.Done() }}
		_, _ = fmt.Fprintf(&body, `{"result":{"header":{"cluster_id":"14841639068965178418",`+
			`"member_id":"10276657743932975437","revision":"1234","raft_term":"2"},`+
			`"ID":"%d","TTL":"15"}}`+"\n", int64(grant.ID))
	}
	c, err := New(Config{Endpoints: []string{"http://a:1"}, Transport: answering(body.Bytes())})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, l := range all {
		c.keep.leases[l.ID] = l
	}
	b.ReportAllocs()
	for b.Loop() {
		told.Add(leases)
		c.keep.renew(all, nil)
		told.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/leases, "ns/lease")
}
