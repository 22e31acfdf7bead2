package holdfastgrpc_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"

	"github.com/holdfast-go/holdfast/adapters/holdfastgrpc"
	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/holdfasttest"
	"github.com/holdfast-go/holdfast/member"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a gRPC server and returns its address.
func serve(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, target string, b resolver.Builder) healthpb.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithResolvers(b),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return healthpb.NewHealthClient(conn)
}

// reaches waits until the calls of a client reach exactly these servers.
func reaches(t *testing.T, c healthpb.HealthClient, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		found := map[string]bool{}
		for range 20 {
			var p peer.Peer
			_, err := c.Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Peer(&p), grpc.WaitForReady(true))
			if ctx.Err() != nil {
				t.Fatalf("reached %v, want %v", found, want)
			}
			if err == nil {
				found[p.Addr.String()] = true
			}
		}
		same := len(found) == len(want)
		for _, w := range want {
			same = same && found[w]
		}
		if same {
			return
		}
	}
}

// TestMembers: the calls of a connection follow the members of the group, also through an outage of
// etcd.
func TestMembers(t *testing.T) {
	etcd := holdfasttest.New(t)
	a, b := serve(t), serve(t)
	join := func(id, address string) *member.Membership {
		m, err := member.Join(t.Context(), etcd.Client(), "services/api",
			&member.Options{ID: id, Value: address})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := join("a", a)
	c := dial(t, "holdfast:///services/api", holdfastgrpc.Members(etcd.Client(), nil))
	reaches(t, c, a)
	second := join("b", b)
	reaches(t, c, a, b)
	if err := second.SetWeight(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	reaches(t, c, a)
	if err := second.SetWeight(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	reaches(t, c, a, b)
	etcd.Stop()
	reaches(t, c, a, b) // the last addresses
	etcd.Start()
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	reaches(t, c, b)
	if err := second.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestAddress: the caller makes addresses of values that are not addresses.
func TestAddress(t *testing.T) {
	etcd := holdfasttest.New(t)
	a := serve(t)
	m, err := member.Join(t.Context(), etcd.Client(), "api", &member.Options{Value: "zone-1 " + a})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, "holdfast:///api", holdfastgrpc.Members(etcd.Client(), &holdfastgrpc.Options{
		Address: func(m member.Member) (resolver.Address, bool) {
			var zone, address string
			n, _ := fmt.Sscan(m.Value, &zone, &address)
			return resolver.Address{Addr: address}, n == 2
		},
	}))
	reaches(t, c, a)
	if err := m.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEndpoints: the keys are as etcd's package naming/endpoints puts them.
func TestEndpoints(t *testing.T) {
	etcd := holdfasttest.New(t)
	a, b := serve(t), serve(t)
	client := etcd.Client()
	put := func(key, address string) {
		value := fmt.Sprintf(`{"Op":0,"Addr":%q,"Metadata":{"zone":"x"}}`, address)
		if _, err := client.Put(t.Context(), "my-service/"+key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put("1", a)
	if _, err := client.Put(t.Context(), "my-service/junk", []byte("junk")); err != nil {
		t.Fatal(err)
	}
	c := dial(t, "etcd:///my-service", holdfastgrpc.Endpoints(client))
	reaches(t, c, a)
	put("2", b)
	reaches(t, c, a, b)
	etcd.CutStreams()
	etcd.Compact()
	etcd.Delete("my-service/1")
	reaches(t, c, b)
}

func TestTargetWithoutAName(t *testing.T) {
	etcd := holdfasttest.New(t)
	for _, b := range []resolver.Builder{
		holdfastgrpc.Members(etcd.Client(), nil), holdfastgrpc.Endpoints(etcd.Client()),
	} {
		if _, err := b.Build(resolver.Target{}, nil, resolver.BuildOptions{}); err == nil {
			t.Error("no error")
		}
	}
}

// slowConn is a connection whose first state takes its time.
type slowConn struct {
	resolver.ClientConn
	first  func()
	states chan int
}

func (c *slowConn) UpdateState(s resolver.State) error {
	if c.first != nil {
		c.first()
		c.first = nil
	}
	c.states <- len(s.Endpoints)
	return nil
}

// TestChangeDuringTheFirstState: it is not lost.
func TestChangeDuringTheFirstState(t *testing.T) {
	etcd := holdfasttest.New(t)
	client := etcd.Client()
	copied, err := cache.Open(t.Context(), client, "my-service/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	put := func(key string) {
		put, err := client.Put(t.Context(), "my-service/"+key, []byte(`{"Addr":"127.0.0.1:1"}`))
		if err == nil {
			err = copied.WaitRevision(t.Context(), put.Revision)
		}
		if err != nil {
			t.Error(err)
		}
	}
	put("1")
	conn := &slowConn{states: make(chan int, 2), first: func() { put("2") }}
	target := resolver.Target{URL: url.URL{Scheme: "etcd", Path: "/my-service"}}
	r, err := holdfastgrpc.Endpoints(client).Build(target, conn, resolver.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for want := range 2 {
		select {
		case n := <-conn.states:
			if n != want+1 {
				t.Errorf("%d addresses, want %d", n, want+1)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no state with %d addresses", want+1)
		}
	}
}
