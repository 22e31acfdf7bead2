package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// fake describes how a fake member identifies itself.
type fake struct {
	id      uint64 // 0: by its place, from 1
	cluster uint64 // 0: the same as the others'
	serves  func(w http.ResponseWriter)
}

// newSyncCluster makes members that can be changed one by one, and whose member list is the result
// of list.
func newSyncCluster(t *testing.T, n int, list *string, fakes map[int]fake) *cluster {
	t.Helper()
	return newCluster(t, n, func(w http.ResponseWriter, r request) {
		f := fakes[r.member]
		if f.id == 0 {
			f.id = uint64(r.member + 1)
		}
		if f.cluster == 0 {
			f.cluster = 77
		}
		switch {
		case f.serves != nil:
			f.serves(w)
			return
		case r.URL.Path == "/v3/auth/authenticate":
			answer(w, 200, `{"token":"t"}`)
			return
		}
		format := `{"header":{"cluster_id":"%d","member_id":"%d"},"members":[%s]}`
		answer(w, 200, fmt.Sprintf(format, f.cluster, f.id, *list))
	})
}

// advertise makes a member list. An entry is "id url url …"; a "+" after the ID makes a learner.
func advertise(entries ...string) string {
	var all []string
	for _, e := range entries {
		f := strings.Fields(e)
		id, learner := strings.CutSuffix(f[0], "+")
		urls := strings.Join(f[1:], `","`)
		all = append(all,
			fmt.Sprintf(`{"ID":"%s","name":"m","isLearner":%t,"clientURLs":["%s"]}`,
				id, learner, urls))
	}
	return strings.Join(all, ",")
}

func urlsOf(c *gateway.Client) (urls []string) {
	for _, s := range c.Endpoints() {
		urls = append(urls, s.URL)
	}
	return urls
}

// TestSyncReplacesTheEndpoints: the client's endpoints after a sync, with the members m0 … m3 and
// their IDs 1 … 4.
func TestSyncReplacesTheEndpoints(t *testing.T) {
	t.Parallel()
	const m0, m1, m2, m3 = "http://m0:2379", "http://m1:2379", "http://m2:2379", "http://m3:2379"
	dropped := func(http.ResponseWriter) { drop() }
	notFound := func(w http.ResponseWriter) { http.Error(w, "404 page not found", 404) }
	unnamed := func(w http.ResponseWriter) { answer(w, 200, `{"header":{"member_id":"2"}}`) }
	forbidden := func(w http.ResponseWriter) {
		etcdError(w, 403, 7,
			"etcdserver: permission denied")
	}
	for _, tt := range []struct {
		name  string
		has   []string
		list  string
		fakes map[int]fake
		want  []string
	}{
		{
			name: "members that joined", has: []string{m0},
			list: advertise("1 "+m0, "2 "+m1, "3 "+m2), want: []string{m0, m1, m2},
		},
		{
			name: "a member that left", has: []string{m0, m1},
			list: advertise("1 " + m0), want: []string{m0},
		},
		{
			name: "a member that left and does not answer", has: []string{m0, m1},
			list:  advertise("1 " + m0),
			fakes: map[int]fake{1: {serves: dropped}}, want: []string{m0, m1},
		},
		{
			name: "nothing new", has: []string{m1, m0}, list: advertise("1 "+m0, "2 "+m1),
			want: []string{m1, m0},
		},
		{
			name: "a learner", has: []string{m0}, list: advertise("1 "+m0, "2+ "+m1),
			want: []string{m0},
		},
		{
			name: "a member that has not started", has: []string{m0},
			list: advertise("1 "+m0) + `,{"ID":"2"}`, want: []string{m0},
		},
		{
			name: "a member that does not answer", has: []string{m0},
			list:  advertise("1 "+m0, "2 "+m1),
			fakes: map[int]fake{1: {serves: dropped}}, want: []string{m0},
		},
		{
			name: "ports for gRPC only", has: []string{m0, m1}, list: advertise("1 "+m2, "2 "+m3),
			fakes: map[int]fake{2: {serves: notFound}, 3: {serves: notFound}},
			want:  []string{m0, m1},
		},
		{
			name: "ports for gRPC only, and a member that is down", has: []string{m0, m1},
			list:  advertise("1 "+m2, "2 "+m3),
			fakes: map[int]fake{1: {serves: dropped}, 2: {serves: notFound}, 3: {serves: notFound}},
			want:  []string{m0, m1},
		},
		{
			name: "known under another name", has: []string{m0}, list: advertise("1 " + m1),
			fakes: map[int]fake{1: {id: 1}}, want: []string{m0},
		},
		{
			name: "two addresses of one member", has: []string{m0},
			list:  advertise("1 "+m0, "2 "+m1+" "+m2),
			fakes: map[int]fake{2: {id: 2}}, want: []string{m0, m1},
		},
		{
			name: "the first address dead", has: []string{m0},
			list:  advertise("1 "+m0, "2 "+m1+" "+m2),
			fakes: map[int]fake{1: {serves: dropped}, 2: {id: 2}}, want: []string{m0, m2},
		},
		{
			name: "another cluster", has: []string{m0}, list: advertise("1 "+m0, "2 "+m1),
			fakes: map[int]fake{1: {cluster: 78}}, want: []string{m0},
		},
		{
			name: "a cluster without a name", has: []string{m0}, list: advertise("1 "+m0, "2 "+m1),
			fakes: map[int]fake{1: {serves: unnamed}}, want: []string{m0},
		},
		{
			name: "nobody of the list", has: []string{m0}, list: advertise("1 "+m0, "2 "+m1),
			fakes: map[int]fake{1: {id: 9}}, want: []string{m0},
		},
		{
			name: "one that does not tell", has: []string{m0}, list: advertise("1 "+m0, "2 "+m1),
			fakes: map[int]fake{1: {serves: forbidden}}, want: []string{m0},
		},
		{
			name: "another scheme", has: []string{m0},
			list: advertise("1 "+m0, "2 https://m1:2379"),
			want: []string{m0},
		},
		{
			name: "nonsense", has: []string{m0},
			list: advertise("1 "+m0, "2 nonsense http:// m1:2379"), want: []string{m0},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cl := newSyncCluster(t, 4, &tt.list, tt.fakes)
				c := cl.client(t, func(cfg *gateway.Config) { cfg.Endpoints = tt.has })
				for range 2 { // the second changes nothing
					if err := c.Sync(within(t, time.Minute)); err != nil {
						t.Error(err)
					}
					if got := urlsOf(c); !slices.Equal(got, tt.want) {
						t.Errorf("endpoints %v, want %v", got, tt.want)
					}
				}
				if _, err := c.Cluster().MemberList(within(t, time.Minute)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSyncForgetsARemovedMember: a member that was removed while it did not answer is identified by
// its earlier answers.
func TestSyncForgetsARemovedMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		members, fakes := advertise("1 http://m0:2379", "2 http://m1:2379"), map[int]fake{}
		cl := newSyncCluster(t, 2, &members, fakes)
		c := cl.client(t)
		for _, url := range cl.urls {
			if _, err := c.Member(url).Status(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		members = advertise("1 http://m0:2379")
		fakes[1] = fake{serves: func(http.ResponseWriter) { drop() }}
		if err := c.Sync(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		if got := urlsOf(c); !slices.Equal(got, cl.urls[:1]) {
			t.Errorf("endpoints %v", got)
		}
	})
}

// TestSyncSendsNoPasswordBeyondASocket: a password that may be sent over a socket file is sent
// nowhere else.
func TestSyncSendsNoPasswordBeyondASocket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		members := advertise("1 http://m0:2379", "2 http://m1:2379")
		cl := newSyncCluster(t, 2, &members, map[int]fake{})
		socket := "unix:///run/etcd.sock"
		c := newClient(t, gateway.Config{
			Endpoints: []string{socket}, Username: "root", Password: canaryPassword,
			DialContext: dialThrough(cl, "m0:2379"),
		})
		if err := c.Sync(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		if got := urlsOf(c); !slices.Equal(got, []string{socket}) {
			t.Errorf("endpoints %v", got)
		}
		_, err := c.Member(cl.urls[1]).Status(within(t, time.Minute))
		wantErr(t, err, list(gateway.ErrInvalid), nil)
		for _, r := range cl.requests() {
			if r.member != 0 {
				t.Errorf("asked %s of member %d", r.URL.Path, r.member)
			}
		}
		open := newClient(t, gateway.Config{
			Endpoints: []string{socket}, DialContext: dialThrough(cl, "m0:2379"),
		})
		if err := open.Sync(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		if got := urlsOf(open); !slices.Equal(got, []string{socket, cl.urls[1]}) {
			t.Errorf("endpoints %v", got)
		}
	})
}

// TestSyncWithoutAMemberKeepsTheEndpoints: without a usable member, the endpoints stay.
func TestSyncWithoutAMemberKeepsTheEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		members := advertise("8 http://m1:2379")
		cl := newSyncCluster(t, 2, &members, map[int]fake{})
		c := cl.client(t, func(cfg *gateway.Config) { cfg.Endpoints = cl.urls[:1] })
		wantErr(t, c.Sync(within(t, time.Minute)), list(gateway.ErrUnavailable),
			list(context.DeadlineExceeded))
		if got := urlsOf(c); !slices.Equal(got, cl.urls[:1]) {
			t.Errorf("endpoints %v", got)
		}
	})
}

// TestSyncEndsWithItsContext: it ends with its context, even while it waits for another sync.
func TestSyncEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		members := advertise("1 http://m0:2379", "2 http://m1:2379")
		slow := func(http.ResponseWriter) { time.Sleep(time.Hour) }
		cl := newSyncCluster(t, 2, &members, map[int]fake{1: {serves: slow}})
		c := cl.client(t, func(cfg *gateway.Config) {
			cfg.Endpoints, cfg.AttemptTimeout = cl.urls[:1], time.Minute
		})
		for range 2 {
			go func() {
				start := time.Now()
				wantErr(t, c.Sync(within(t, time.Second)), list(context.DeadlineExceeded), nil)
				if took := time.Since(start); took != time.Second {
					t.Errorf("returned after %v", took)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		if got := urlsOf(c); !slices.Equal(got, cl.urls[:1]) {
			t.Errorf("endpoints %v", got)
		}
	})
}

// TestCallsSucceedDuringSync: calls succeed while the endpoints change.
func TestCallsSucceedDuringSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lists := []string{
			advertise("1 http://m0:2379"),
			advertise("1 http://m0:2379", "2 http://m1:2379", "3 http://m2:2379"),
		}
		var n atomic.Int64
		cl := newCluster(t, 3, func(w http.ResponseWriter, r request) {
			time.Sleep(time.Millisecond)
			if r.URL.Path == "/v3/cluster/member/list" && strings.Contains(r.body, "true") {
				n.Add(1)
			}
			id := r.member + 1
			format := `{"header":{"cluster_id":"1","member_id":"%d","revision":"5"},"members":[%s]}`
			answer(w, 200, fmt.Sprintf(format, id, lists[n.Load()%2]))
		})
		c := cl.client(t, func(cfg *gateway.Config) { cfg.Endpoints = cl.urls[:1] })
		ctx, cancel := context.WithCancel(t.Context())
		for range 4 {
			go func() {
				for ctx.Err() == nil {
					if _, err := c.Put(ctx, "k", nil); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			}()
		}
		for range 20 {
			if err := c.Sync(within(t, time.Minute)); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		synctest.Wait()
	})
}
