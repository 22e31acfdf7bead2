package holdfastkratos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/go-kratos/kratos/v2/registry"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// DefaultNamespace is the namespace of kratos' registry on etcd.
const DefaultNamespace = "/microservices"

// Options of a [Registry]. Nil is the default.
type Options struct {
	Namespace string           // default [DefaultNamespace]
	Session   *session.Options // of the registered services
}

// Registry registers and discovers services.
type Registry struct {
	client *gateway.Client
	opts   Options

	mu         sync.Mutex
	registered map[string]*registration // by key
}

var (
	_ registry.Registrar = (*Registry)(nil)
	_ registry.Discovery = (*Registry)(nil)
)

// New returns a registry. It does no I/O.
func New(c *gateway.Client, opts *Options) *Registry {
	r := &Registry{client: c, registered: map[string]*registration{}}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Namespace == "" {
		r.opts.Namespace = DefaultNamespace
	}
	return r
}

// Register registers a service until [Registry.Deregister], and returns when it is registered. A
// second call for the instance replaces the first one. After an error it is not registered, or its
// key is deleted in the background.
func (r *Registry) Register(ctx context.Context, service *registry.ServiceInstance) error {
	value, err := json.Marshal(service)
	if err != nil {
		return fmt.Errorf("holdfastkratos: register: %w", err)
	}
	key := r.prefix(service.Name) + service.ID
	reg := start(context.WithoutCancel(ctx), r.client, key, value, r.opts.Session)
	select {
	case <-reg.first:
	case <-ctx.Done():
		reg.cancel()
		return fmt.Errorf("holdfastkratos: register %s: %w", key,
			errors.Join(context.Cause(ctx), reg.failure()))
	}
	r.mu.Lock()
	before := r.registered[key]
	r.registered[key] = reg
	r.mu.Unlock()
	if before != nil {
		before.stop() // its lease does not hold the key any more
	}
	return nil
}

// Deregister ends the registration of a service, and returns when its key is deleted. Returns nil
// when the service is not registered, and ctx's error when ctx ends first; the key is then deleted
// in the background.
func (r *Registry) Deregister(ctx context.Context, service *registry.ServiceInstance) error {
	key := r.prefix(service.Name) + service.ID
	r.mu.Lock()
	reg := r.registered[key]
	delete(r.registered, key)
	r.mu.Unlock()
	if reg == nil {
		return nil
	}
	reg.cancel()
	select {
	case <-reg.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("holdfastkratos: deregister %s: %w", key, context.Cause(ctx))
	}
}

func (r *Registry) prefix(name string) string { return r.opts.Namespace + "/" + name + "/" }
