package holdfastkratos_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-kratos/kratos/v2"
	"github.com/go-kratos/kratos/v2/registry"
	"github.com/go-kratos/kratos/v2/transport/http"
	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/adapters/holdfastkratos"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfasttest"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

type greeting struct{ Text string }

// TestApp: a kratos application registers itself, a kratos client finds it, and the registration
// heals itself until the application ends.
func TestApp(t *testing.T) {
	etcd := holdfasttest.New(t)
	reg := holdfastkratos.New(etcd.Client(), nil)
	srv := http.NewServer(http.Address("127.0.0.1:0"))
	srv.Route("/").GET("/hello", func(ctx http.Context) error {
		return ctx.JSON(200, greeting{"hello"})
	})
	app := kratos.New(kratos.ID("orders-0"), kratos.Name("orders"), kratos.Server(srv),
		kratos.Registrar(reg))
	ran := make(chan error, 1)
	go func() { ran <- app.Run() }()
	const key = "/microservices/orders/orders-0"
	there := func() bool { _, ok := etcd.Get(key); return ok }
	eventually(t, "registered", there)

	discovery := holdfastkratos.New(etcd.Client(), nil)
	client, err := http.NewClient(t.Context(), http.WithEndpoint("discovery:///orders"),
		http.WithDiscovery(discovery), http.WithBlock())
	if err != nil {
		t.Fatal(err)
	}
	var got greeting
	err = client.Invoke(t.Context(), "GET", "/hello", nil, &got)
	if err != nil || got.Text != "hello" {
		t.Errorf("%+v, %v", got, err)
	}
	first, _ := etcd.Get(key)
	etcd.Delete(key)
	eventually(t, "back after the deletion of its key", there)
	etcd.Revoke(first.Lease)
	eventually(t, "back after the loss of its session", func() bool {
		kv, ok := etcd.Get(key)
		return ok && kv.Lease != first.Lease
	})
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := app.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if there() {
		t.Error("the service is registered after its end")
	}
}

// TestWatch: a watcher sees instances of this registry and of kratos' own.
func TestWatch(t *testing.T) {
	etcd := holdfasttest.New(t)
	client := etcd.Client()
	reg := holdfastkratos.New(client, &holdfastkratos.Options{Namespace: "/ns"})
	theirs := `{"id":"b","name":"orders","version":"1","metadata":null,` +
		`"endpoints":["grpc://127.0.0.1:2"]}`
	if _, err := client.Put(t.Context(), "/ns/orders/b", []byte(theirs)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(t.Context(), "/ns/orders/junk", []byte("junk")); err != nil {
		t.Fatal(err)
	}
	w, err := reg.Watch(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	next := func(want string) {
		t.Helper()
		all, err := w.Next()
		var ids []string
		for _, one := range all {
			ids = append(ids, one.ID)
		}
		if got := strings.Join(ids, " "); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	next("b")
	own := &registry.ServiceInstance{
		ID: "a", Name: "orders", Endpoints: []string{"grpc://127.0.0.1:1"},
	}
	if err := reg.Register(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	next("a b")
	all, err := reg.GetService(t.Context(), "orders")
	if err != nil || len(all) != 2 || !all[0].Equal(own) {
		t.Errorf("%v, %v", all, err)
	}
	if err := reg.Deregister(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	next("b")
	if err := reg.Deregister(t.Context(), own); err != nil {
		t.Error(err)
	}
	stopped := make(chan error, 1)
	go func() { _, err := w.Next(); stopped <- err }()
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-stopped; err == nil {
		t.Error("Next returned nil after Stop")
	}
}

// TestRegisterDuringAnOutage: an error leaves nothing behind.
func TestRegisterDuringAnOutage(t *testing.T) {
	etcd := holdfasttest.New(t)
	reg := holdfastkratos.New(etcd.Client(), nil)
	etcd.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := reg.Register(ctx, &registry.ServiceInstance{ID: "a", Name: "orders"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Register = %v", err)
	}
	etcd.Start()
	if keys := etcd.Keys("/microservices/"); len(keys) > 0 {
		t.Errorf("%q", keys)
	}
}

// TestWatchEndsWithItsContext: also without Stop.
func TestWatchEndsWithItsContext(t *testing.T) {
	etcd := holdfasttest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := holdfastkratos.New(etcd.Client(), nil).Watch(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v", err)
	}
}

// TestRegisterReportsAnError: that lasts until the context ends.
func TestRegisterReportsAnError(t *testing.T) {
	etcd := holdfasttest.New(t)
	reg := holdfastkratos.New(etcd.Client(), &holdfastkratos.Options{
		Session: &session.Options{TTL: -1},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := reg.Register(ctx, &registry.ServiceInstance{ID: "a", Name: "orders"})
	if !errors.Is(err, gateway.ErrInvalid) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Register = %v", err)
	}
}

// TestRegisterReturnsWithItsContext: also when nothing is answered.
func TestRegisterReturnsWithItsContext(t *testing.T) {
	etcd := holdfasttest.New(t)
	reg := holdfastkratos.New(etcd.Client(), nil)
	const key = "/microservices/orders/a"
	etcd.BlackHole(holdfasttest.Match{Call: holdfasttest.Txn, Text: key})
	etcd.BlackHole(holdfasttest.Match{Call: holdfasttest.Revoke})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := reg.Register(ctx, &registry.ServiceInstance{ID: "a", Name: "orders"})
	took := time.Since(began)
	if !errors.Is(err, context.DeadlineExceeded) || took > 1500*time.Millisecond {
		t.Errorf("Register = %v after %v", err, took)
	}
	etcd.Heal()
	eventually(t, "deleted", func() bool { _, ok := etcd.Get(key); return !ok })
}
