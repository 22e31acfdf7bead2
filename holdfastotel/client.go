package holdfastotel

import (
	"context"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-go/holdfast/gateway"
)

// Client returns hooks for [gateway.Config]. They record each attempt of a request as a span and in
// holdfast.client.operation.duration, and count the streams of watches.
func Client(opts *Options) (gateway.Hooks, error) {
	tracer, i := opts.tracer(), instruments{meter: opts.meter()}
	took := i.histogram("holdfast.client.operation.duration", "Attempts of requests to etcd.")
	streams := i.upDown("holdfast.client.streams", "{stream}",
		"Endpoints that serve the watches of a client.")
	if err := i.err(); err != nil {
		return gateway.Hooks{}, err
	}
	opened := &opening{at: map[string]int{}}
	return gateway.Hooks{
		Attempt: func(ctx context.Context, a gateway.Attempt) {
			_, span := tracer.Start(ctx, "etcd "+a.Op,
				trace.WithTimestamp(a.Start), trace.WithSpanKind(trace.SpanKindClient),
				trace.WithAttributes(server(a.Endpoint)))
			attributes := []attribute.KeyValue{
				attribute.String("holdfast.operation", a.Op), server(a.Endpoint),
			}
			if a.Err != nil {
				span.SetStatus(codes.Error, a.Err.Error()) // it has no keys, values or credentials
				span.SetAttributes(errorType(a.Err))
				attributes = append(attributes, errorType(a.Err))
			}
			span.End(trace.WithTimestamp(a.Start.Add(a.Duration)))
			took.Record(ctx, a.Duration.Seconds(), metric.WithAttributes(attributes...))
		},
		StreamOpened: func(endpoint string) {
			opened.add(endpoint)
			streams.Add(context.Background(), 1, metric.WithAttributes(server(endpoint)))
		},
		StreamEnded: func(endpoint string, _ time.Duration, _ error) {
			if opened.remove(endpoint) {
				streams.Add(context.Background(), -1, metric.WithAttributes(server(endpoint)))
			}
		},
	}, nil
}

// server returns the host and the port of an endpoint: its URL may have a path.
func server(endpoint string) attribute.KeyValue {
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		endpoint = u.Host
	}
	return attribute.String("server.address", endpoint)
}
