package gateway_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/internal/ports"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestAnAddressMayBeASocketFileOrIPv6: socket files, and IPv6 if the machine has it.
func TestAnAddressMayBeASocketFileOrIPv6(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		options := recipetest.Server(version)
		//nolint:usetesting // the path of a socket has to be short
		dir, err := os.MkdirTemp("", "hf")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		if version != "3.4" { // 3.4 accepts no paths
			options.ExtraClientURLs = []string{"unix://" + filepath.Join(dir, "etcd.sock")}
		}
		if port, ok := ipv6(t); ok {
			options.ExtraClientURLs = append(options.ExtraClientURLs, "http://[::1]:"+port)
		}
		if len(options.ExtraClientURLs) == 0 {
			t.Skip("neither is there")
		}
		c := etcdtest.Start(t, options)
		theirs := c.ClientV3(t)
		for _, url := range options.ExtraClientURLs {
			ctx, cancel := context.WithCancel(within(t, patience))
			ours := newClient(t, gateway.Config{Endpoints: []string{url}})
			key := fresh(t)
			w := must(ours.Watch(ctx, key))(t)
			must(ours.Put(ctx, key, []byte("v")))(t)
			if got := must(theirs.Get(ctx, key))(t); len(got.Kvs) != 1 ||
				string(got.Kvs[0].Value) != "v" {
				t.Errorf("%s: clientv3 reads %v", url, got.Kvs)
			}
			for ev, err := range w.Events() {
				if err != nil || string(ev.KV.Value) != "v" {
					t.Errorf("%s: event %+v, %v", url, ev, err)
				}
				break
			}
			if s := must(ours.Member("").Status(ctx))(t); s.MemberID != c.Member(0).ID() {
				t.Errorf("%s: status %+v", url, s)
			}
			if h := must(ours.Member(url).Health(ctx))(t); !h.Healthy {
				t.Errorf("%s: health %+v", url, h)
			}
			if err := ours.Sync(ctx); err != nil || len(ours.Endpoints()) != 1 ||
				ours.Endpoints()[0].URL != url {
				t.Errorf("%s: after Sync %+v, %v: the member is reached already",
					url, ours.Endpoints(), err)
			}
			cancel()
		}
	})
}

// ipv6 finds a free port, if the loopback address of IPv6 exists.
func ipv6(t *testing.T) (port string, ok bool) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Log("no IPv6:", err)
		return "", false
	}
	l.Close()
	p := must(ports.Reserve())(t)
	t.Cleanup(func() {
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	})
	_, port, err = net.SplitHostPort(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return port, true
}
