package holdfastgrpc

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"google.golang.org/grpc/resolver"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
)

// Options of [Members]. Nil is the default.
type Options struct {
	// Address returns the address of a member, and false for a member without one. The default is
	// the member's Value, and no address for a member with a Weight of 0.
	Address func(member.Member) (_ resolver.Address, ok bool)
}

// Members returns a builder for targets "holdfast:///<group>".
func Members(c *gateway.Client, opts *Options) resolver.Builder {
	address := valueOf
	if opts != nil && opts.Address != nil {
		address = opts.Address
	}
	return &builder{"holdfast", func(ctx context.Context, group string) addresses {
		return func(yield func([]resolver.Address, error) bool) {
			for v, err := range member.Observe(ctx, c, group) {
				all := make([]resolver.Address, 0, len(v.Members))
				for _, m := range v.Members {
					if a, ok := address(m); ok {
						all = append(all, a)
					}
				}
				if !yield(all, err) {
					return
				}
			}
		}
	}}
}

func valueOf(m member.Member) (_ resolver.Address, ok bool) {
	return resolver.Address{Addr: m.Value}, m.Value != "" && m.Weight > 0
}

// addresses are the addresses of a target after each change. The last pair has the error.
type addresses = iter.Seq2[[]resolver.Address, error]

// builder builds the resolvers of a scheme.
type builder struct {
	scheme string
	watch  func(ctx context.Context, name string) addresses
}

// Scheme returns the scheme of the targets.
func (b *builder) Scheme() string { return b.scheme }

// Build returns a resolver that runs until it is closed.
func (b *builder) Build(
	target resolver.Target, conn resolver.ClientConn, _ resolver.BuildOptions,
) (resolver.Resolver, error) {
	name := strings.Trim(target.Endpoint(), "/")
	if name == "" {
		return nil, errors.New("holdfastgrpc: a target without a name")
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &watching{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.run(ctx, conn, b.watch(ctx, name))
	}()
	return r, nil
}

// retryPause is the pause after an error.
const retryPause = time.Second

// watching is the resolver of a connection.
type watching struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (r *watching) run(ctx context.Context, conn resolver.ClientConn, all addresses) {
	for {
		for found, err := range all {
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				conn.ReportError(err)
			default:
				// The balancer returns an error for no addresses. The next change resolves it.
				_ = conn.UpdateState(stateOf(found))
			}
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return
		}
	}
}

func stateOf(found []resolver.Address) (s resolver.State) {
	for _, a := range found {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{a}})
	}
	return s
}

// ResolveNow does nothing, because changes arrive by themselves.
func (r *watching) ResolveNow(resolver.ResolveNowOptions) {}

// Close ends the resolver.
func (r *watching) Close() {
	r.cancel()
	<-r.done
}
