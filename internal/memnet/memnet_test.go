package memnet_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/internal/memnet"
)

func TestHTTPWorksInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
			r *http.Request,
		) {
			time.Sleep(time.Hour)
			_, _ = io.Copy(w, r.Body)
		})}
		go func() { _ = server.Serve(l) }()
		transport := &http.Transport{DialContext: l.Dial}

		start := time.Now()
		req, err := http.NewRequestWithContext(
			t.Context(), http.MethodPost, "http://any/", strings.NewReader("echo"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != "echo" {
			t.Errorf("body = %q, %v", body, err)
		}
		if took := time.Since(start); took != time.Hour {
			t.Errorf("took %v of fake time", took)
		}
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestADialReturnsTheErrorsOfANetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		network := memnet.Network{"a:1": l}
		if _, err := network.Dial(t.Context(), "tcp", "b:1"); !errors.Is(err,
			syscall.ECONNREFUSED) {
			t.Errorf("unknown address: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := network.Dial(ctx, "tcp", "a:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody accepts: %v", err)
		}
		_ = l.Close()
		_ = l.Close()
		if _, err := network.Dial(t.Context(), "tcp", "a:1"); !errors.Is(err,
			syscall.ECONNREFUSED) {
			t.Errorf("closed: %v", err)
		}
	})
}
