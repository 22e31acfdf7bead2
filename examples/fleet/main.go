// Fleet divides twelve tenants among three worker processes. One of them is killed, and another one
// is added. Each line of the timeline is a state in which every tenant has its worker.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
)

const tenants = 12

func main() {
	if id := os.Getenv("FLEET_WORKER"); id != "" {
		if err := work(id); err != nil {
			fmt.Fprintln(os.Stderr, id, err)
			os.Exit(1)
		}
		return
	}
	local.Main(story)
}

// work serves the tenants of a worker until a signal arrives.
func work(id string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := gateway.New(gateway.Config{
		Endpoints: strings.Split(os.Getenv("FLEET_ENDPOINTS"), ","),
		Namespace: os.Getenv("FLEET_NAMESPACE"),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	err = shard.Run(ctx, client, "tenants", tenants, serve, &shard.Options{Member: member.Options{
		ID: id, Session: &session.Options{TTL: 2 * time.Second, AllowShortTTL: true},
	}})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// serve serves a tenant. Another worker takes it over after serve has returned, or after the lease
// of a worker that died.
func serve(ctx context.Context, s *shard.Shard) error {
	put := gateway.OpPut(fmt.Sprint("state/", s.Number()), fmt.Append(nil, s.Fence()))
	if _, err := s.Txn(ctx, gateway.Txn{Then: []gateway.Op{put}}); err != nil {
		return nil // the tenant was lost, and is acquired again
	}
	<-ctx.Done()
	return nil
}

func story(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	workers := map[string]*exec.Cmd{}
	defer func() {
		for _, w := range workers {
			_ = w.Process.Kill()
			_ = w.Wait() // it was killed
		}
	}()
	start := func(id string) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		w := exec.CommandContext(ctx, program)
		w.Stderr = os.Stderr
		w.Env = append(os.Environ(), "FLEET_WORKER="+id,
			"FLEET_ENDPOINTS="+strings.Join(cfg.Endpoints, ","), "FLEET_NAMESPACE="+cfg.Namespace)
		workers[id] = w
		return w.Start()
	}
	for _, id := range []string{"a", "b", "c"} {
		if err := start(id); err != nil {
			return err
		}
	}
	if err := show(ctx, client, "three workers", "a", "b", "c"); err != nil {
		return err
	}
	_ = workers["c"].Process.Kill()
	_ = workers["c"].Wait() // it was killed
	delete(workers, "c")
	if err := show(ctx, client, "c is killed", "a", "b"); err != nil {
		return err
	}
	if err := start("d"); err != nil {
		return err
	}
	return show(ctx, client, "d is added", "a", "b", "d")
}

// show waits until exactly these workers serve the tenants, each as many, and prints a line.
func show(ctx context.Context, client *gateway.Client, event string, ids ...string) error {
	for v, err := range shard.Observe(ctx, client, "tenants") {
		if err != nil {
			return err
		}
		share := map[string]int{}
		for _, h := range v.Holders {
			if h != nil {
				share[h.Member.ID]++
			}
		}
		equal := func(id string) bool { return share[id] == tenants/len(ids) }
		if !slices.ContainsFunc(ids, func(id string) bool { return !equal(id) }) {
			fmt.Printf("%-14s %v\n", event+":", share)
			return nil
		}
	}
	return nil
}
