package faultproxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

func TestClientV3SurvivesABlackhole(t *testing.T) {
	p := newProxy(t, member.Endpoint())
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{p.URL()},
		DialTimeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(t.Context(), "blackhole", "before"); err != nil {
		t.Fatal(err)
	}

	p.Blackhole(faultproxy.Both)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Put(ctx, "blackhole", "during"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put into a black hole: got %v, want a deadline error", err)
	}

	heal(t, p)
	got, err := client.Get(t.Context(), "blackhole")
	if err != nil {
		t.Fatal(err)
	}
	if v := string(got.Kvs[0].Value); v != "before" {
		t.Errorf("value after healing: got %q, want %q", v, "before")
	}
}

func TestBlackholeSwallowsOneDirection(t *testing.T) {
	for _, test := range []struct {
		name      string
		direction faultproxy.Direction
		arrives   bool
	}{
		{"up", faultproxy.Up, false},
		{"down", faultproxy.Down, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := newEcho(t)
			p := newProxy(t, target.addr())
			conn := dial(t, p)
			exchange(t, conn, "before")

			p.Blackhole(test.direction)
			send(t, conn, "during")
			if test.arrives {
				target.waitFor(t, "beforeduring")
			}
			expectSilence(t, conn)

			later := dial(t, p) // still accepted
			send(t, later, "hello")
			expectSilence(t, later)
			if got := target.received(); !test.arrives && got != "before" {
				t.Errorf("target received %q through a black hole", got)
			}

			heal(t, p)
			expectReset(t, conn)
			exchange(t, dial(t, p), "after")
		})
	}
}

func TestAnUnusedConnectionOutlivesABlackhole(t *testing.T) {
	p := newProxy(t, newEcho(t).addr())
	conn := dial(t, p)
	exchange(t, conn, "before")
	p.Blackhole(faultproxy.Both)
	heal(t, p)
	exchange(t, conn, "after")
}

func TestHoldDeliversLater(t *testing.T) {
	p := newProxy(t, newEcho(t).addr())
	conn := dial(t, p)
	exchange(t, conn, "before")
	p.Hold(faultproxy.Up)
	send(t, conn, "during")
	expectSilence(t, conn)
	heal(t, p)
	expect(t, conn, "during")
}

func TestDelayMovesTheStreamInTime(t *testing.T) {
	const delay = 200 * time.Millisecond
	p := newProxy(t, newEcho(t).addr())
	conn := dial(t, p)
	exchange(t, conn, "before")
	p.Delay(faultproxy.Up, delay)

	// Many small writes are delayed once in total, not once each.
	want := bytes.Repeat([]byte("0123456789"), 20_000)
	start := time.Now()
	go func() {
		for chunk := range bytes.SplitSeq(want, []byte("9")) {
			if len(chunk) > 0 {
				_, _ = conn.Write(append(bytes.Clone(chunk), '9'))
			}
		}
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("bytes were reordered")
	}
	if took := time.Since(start); took < delay || took > 10*delay {
		t.Errorf("took %v with a delay of %v", took, delay)
	}
}

func TestResetEndsOpenConnectionsOnly(t *testing.T) {
	p := newProxy(t, newEcho(t).addr())
	conn := dial(t, p)
	exchange(t, conn, "before")
	p.Reset()
	expectReset(t, conn)
	exchange(t, dial(t, p), "after")
	if got := p.Accepted(); got != 2 {
		t.Errorf("accepted %d connections, want 2", got)
	}
}

func TestRefuseLeavesOpenConnections(t *testing.T) {
	p := newProxy(t, newEcho(t).addr())
	conn := dial(t, p)
	exchange(t, conn, "before")
	for range 2 {
		if err := p.Refuse(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: got %v, want connection refused", err)
	}
	exchange(t, conn, "during")
	heal(t, p)
	exchange(t, dial(t, p), "after")
}

func TestHalfClosedConnectionDeliversTheRest(t *testing.T) {
	p := newProxy(t, newEcho(t).addr())
	conn := dial(t, p)
	want := bytes.Repeat([]byte("x"), 1<<20)
	go func() {
		_, _ = conn.Write(want)
		_ = conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes and %v, want %d", len(got), err, len(want))
	}
}

func TestAnUnreachableTargetResets(t *testing.T) {
	target := newEcho(t)
	p := newProxy(t, target.addr())
	target.close()
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want connection reset", err)
	}
}

func newProxy(t *testing.T, target string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if n := p.Open(); n != 0 {
			t.Errorf("%d connections are open after Close", n)
		}
	})
	return p
}

func heal(t *testing.T, p *faultproxy.Proxy) {
	t.Helper()
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, p *faultproxy.Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q and %v, want %q", got, err, want)
	}
}

func exchange(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	send(t, conn, text)
	expect(t, conn, text)
}

// expectSilence checks that no byte and no end arrives for a while.
func expectSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes and %v, want silence", n, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
}

func expectReset(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read: got %v, want connection reset", err)
	}
}
