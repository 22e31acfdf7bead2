// Config keeps a program's configuration up to date: it is read from memory, and a change in etcd
// is there at once, also one that was made while the program was cut off.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
)

const prefix = "config/mailer/"

func main() { local.Main(mailer) }

func mailer(ctx context.Context, cfg gateway.Config) error {
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := set(ctx, client, "sender", "a@example.org"); err != nil {
		return err
	}
	config, err := cache.Open(ctx, client, prefix, nil)
	if err != nil {
		return err
	}
	defer config.Close()
	changes := config.Changes(ctx) // since here; read the values after this

	get := func(key, otherwise string) string { // no request, no allocation
		if kv, ok := config.Get(prefix + key); ok {
			return string(kv.Value)
		}
		return otherwise
	}
	fmt.Println("sender", get("sender", "nobody"), "workers", get("workers", "4"))

	// An operator changes the configuration, in another process.
	left := map[string]string{"workers": "8", "sender": "b@example.org"}
	for key, value := range left {
		if err := set(ctx, client, key, value); err != nil {
			return err
		}
	}
	for change, err := range changes { // a service goes on until ctx ends
		if err != nil {
			return err
		}
		key := strings.TrimPrefix(change.Key, prefix)
		fmt.Println("reloaded", key)
		if delete(left, key); len(left) == 0 {
			break
		}
	}
	fmt.Println("sender", get("sender", "nobody"), "workers", get("workers", "4"))
	return nil
}

func set(ctx context.Context, client *gateway.Client, key, value string) error {
	_, err := client.Put(ctx, prefix+key, []byte(value))
	return err
}
