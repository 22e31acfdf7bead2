package holdfastgrpc

import (
	"context"
	"encoding/json"

	"google.golang.org/grpc/resolver"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/gateway"
)

// Endpoints returns a builder for targets "etcd:///<name>", whose servers have registered with
// etcd's package naming/endpoints, as the resolver of that package reads them.
func Endpoints(c *gateway.Client) resolver.Builder {
	return &builder{"etcd", func(ctx context.Context, name string) addresses {
		return func(yield func([]resolver.Address, error) bool) {
			copied, err := cache.Open(ctx, c, name+"/", nil)
			if err != nil {
				yield(nil, err)
				return
			}
			defer copied.Close()
			first := copied.Snapshot() // a change during the first yield is after it
			if !yield(endpointsOf(first), nil) {
				return
			}
			for _, err := range first.Changes(ctx) {
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(endpointsOf(copied.Snapshot()), nil) {
					return
				}
			}
		}
	}}
}

// endpoint is the value of a key of package naming/endpoints.
type endpoint struct {
	Addr     string
	Metadata any
}

// endpointsOf returns the addresses of all keys. It omits values of other programs.
func endpointsOf(now cache.Snapshot) (all []resolver.Address) {
	for kv := range now.Range("") {
		var e endpoint
		if json.Unmarshal(kv.Value, &e) == nil && e.Addr != "" {
			all = append(all, resolver.Address{
				Addr: e.Addr, Metadata: e.Metadata, //nolint:staticcheck // as etcd's own resolver
			})
		}
	}
	return all
}
