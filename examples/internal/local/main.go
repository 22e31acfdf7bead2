package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Main runs an example until it returns or is interrupted, and exits with status 1 if it returns an
// error. Cfg has the endpoints in ETCD_ENDPOINTS, separated by commas, or by default an etcd in
// this process. All keys of the example are in a namespace that Main deletes at the end.
func Main(example func(ctx context.Context, cfg gateway.Config) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, example)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, example func(context.Context, gateway.Config) error) (err error) {
	cfg := gateway.Config{Namespace: "holdfast-example/" + rand.Text() + "/"}
	if given := os.Getenv("ETCD_ENDPOINTS"); given != "" {
		cfg.Endpoints = strings.Split(given, ",")
	} else {
		endpoint, stop, err := Etcd(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		cfg.Endpoints = []string{endpoint}
	}
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := ping(ctx, client); err != nil {
		return err
	}
	err = example(ctx, cfg)
	_, gone := client.Delete(context.WithoutCancel(ctx), "", gateway.Prefix())
	return errors.Join(err, gone)
}

// ping returns an error if no etcd answers within 5 s. The examples themselves would wait for etcd,
// as a service should.
func ping(ctx context.Context, client *gateway.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := client.Get(ctx, "ping"); err != nil {
		return fmt.Errorf("no etcd there: %w", err)
	}
	return nil
}

// Together runs the n parts of an example in parallel. In practice each part is a process of its
// own, usually on another machine. The first error cancels the context of the other parts. Together
// returns that error when all parts have returned.
func Together(ctx context.Context, n int, part func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	var once sync.Once
	var first error
	for i := range n {
		parts.Go(func() {
			if err := part(ctx, i); err != nil {
				once.Do(func() { first = err })
				cancel(err)
			}
		})
	}
	parts.Wait()
	return first
}
