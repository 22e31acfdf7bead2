// Discovery registers two servers in a group, and a client that resolves the group calls the ones
// that are there. One of them leaves.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
)

func main() { local.Main(story) }

func story(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	first, err := serve(ctx, client, "api-0")
	if err != nil {
		return err
	}
	defer first.Leave(ctx) //nolint:errcheck // the key ends with its lease
	second, err := serve(ctx, client, "api-1")
	if err != nil {
		return err
	}
	defer second.Leave(ctx) //nolint:errcheck // as above
	if err := callAll(ctx, client, 2); err != nil {
		return err
	}
	if err := second.Leave(ctx); err != nil {
		return err
	}
	fmt.Println("api-1 has left")
	return callAll(ctx, client, 1)
}

// serve starts a server and registers its address. It stays registered through every loss.
func serve(ctx context.Context, client *gateway.Client, id string) (*member.Membership, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "hello from", id)
	})}
	go func() { _ = s.Serve(l) }()
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return member.Join(ctx, client, "services/api",
		&member.Options{ID: id, Value: l.Addr().String()})
}

// callAll waits until there are n servers, and calls each.
func callAll(ctx context.Context, client *gateway.Client, n int) error {
	for view, err := range member.Observe(ctx, client, "services/api") {
		if err != nil {
			return err
		}
		if len(view.Members) != n {
			continue
		}
		for _, m := range view.Members {
			if err := call(ctx, m.Value); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

func call(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}
