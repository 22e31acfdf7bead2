package holdfastkratos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/go-kratos/kratos/v2/registry"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
)

// GetService reads the instances of a service. It sends one request.
func (r *Registry) GetService(
	ctx context.Context, name string,
) ([]*registry.ServiceInstance, error) {
	read, err := r.client.Get(ctx, r.prefix(name), gateway.Prefix())
	if err != nil {
		return nil, fmt.Errorf("holdfastkratos: get %s: %w", name, err)
	}
	var all []*registry.ServiceInstance
	for _, kv := range read.KVs {
		all = appendInstance(all, kv)
	}
	return all, nil
}

// Watch returns a watcher of a service, which lives until it is stopped or ctx ends.
func (r *Registry) Watch(ctx context.Context, name string) (registry.Watcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	copied, err := cache.Open(ctx, r.client, r.prefix(name), nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("holdfastkratos: watch %s: %w", name, err)
	}
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		copied.Close()
	})
	return &watcher{ctx: ctx, cancel: cancel, closed: closed, copied: copied}, nil
}

// watcher is a watcher of a service.
type watcher struct {
	ctx    context.Context //nolint:containedctx // of Watch
	cancel context.CancelFunc
	closed chan struct{} // closed when the copy is, after the end of ctx
	copied *cache.Cache
	shown  *cache.Snapshot
}

// Next returns the instances at once, and then after each change.
func (w *watcher) Next() ([]*registry.ServiceInstance, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	if w.shown != nil {
		for _, err := range w.shown.Changes(w.ctx) {
			if err != nil {
				return nil, cmp.Or(w.ctx.Err(), err)
			}
			break
		}
	}
	now := w.copied.Snapshot()
	w.shown = &now
	all := []*registry.ServiceInstance{}
	for kv := range now.Range("") {
		all = appendInstance(all, kv)
	}
	return all, nil
}

// Stop ends the watcher. A call of Next returns then.
func (w *watcher) Stop() error {
	w.cancel()
	<-w.closed
	return nil
}

// appendInstance adds the instance of a key, unless another program has written it.
func appendInstance(
	all []*registry.ServiceInstance, kv gateway.KeyValue,
) []*registry.ServiceInstance {
	var one registry.ServiceInstance
	if json.Unmarshal(kv.Value, &one) != nil || one.ID == "" {
		return all
	}
	return append(all, &one)
}
