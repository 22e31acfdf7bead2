package faultproxy_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// An echo is a server that sends back the bytes it receives, and records them.
type echo struct {
	listener net.Listener
	serve    sync.WaitGroup

	mu   sync.Mutex
	data []byte
	more chan struct{} // closed and replaced when data grows
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{listener: listener, more: make(chan struct{})}
	e.serve.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			e.serve.Go(func() { e.answer(conn) })
		}
	})
	// The proxy is created later and closed earlier, and its end closes the connections.
	t.Cleanup(e.close)
	return e
}

func (e *echo) addr() string { return e.listener.Addr().String() }

func (e *echo) close() {
	_ = e.listener.Close()
	e.serve.Wait()
}

func (e *echo) answer(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.data = append(e.data, buf[:n]...)
		close(e.more)
		e.more = make(chan struct{})
		e.mu.Unlock()
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (e *echo) received() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.data)
}

func (e *echo) waitFor(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		e.mu.Lock()
		got, more := string(e.data), e.more
		e.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("target received %q, want %q", got, want)
		}
	}
}
