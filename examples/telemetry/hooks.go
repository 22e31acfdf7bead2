package main

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// traced records each attempt as a span below the caller's span.
func traced(tracer trace.Tracer) gateway.Hooks {
	return gateway.Hooks{Attempt: func(ctx context.Context, a gateway.Attempt) {
		_, span := tracer.Start(ctx, "etcd "+a.Op,
			trace.WithTimestamp(a.Start), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("server.address", a.Endpoint)))
		if a.Err != nil {
			// The error has no keys, values or credentials.
			span.SetStatus(codes.Error, a.Err.Error())
		}
		span.End(trace.WithTimestamp(a.Start.Add(a.Duration)))
	}}
}

// measured counts holds and measures waits by the kind of recipe, because there may be too many
// names.
func measured(meter metric.Meter) (session.Hooks, error) {
	waited, err := meter.Float64Histogram("holdfast.wait", metric.WithUnit("s"))
	if err != nil {
		return session.Hooks{}, err
	}
	held, err := meter.Int64UpDownCounter("holdfast.held")
	if err != nil {
		return session.Hooks{}, err
	}
	lost, err := meter.Int64Counter("holdfast.lost")
	if err != nil {
		return session.Hooks{}, err
	}
	kind := func(h session.HoldInfo) metric.MeasurementOption {
		return metric.WithAttributes(attribute.String("kind", h.Kind))
	}
	return session.Hooks{
		Acquired: func(ctx context.Context, h session.HoldInfo, took time.Duration) {
			waited.Record(ctx, took.Seconds(), kind(h))
			held.Add(ctx, 1, kind(h))
		},
		HoldEnded: func(h session.HoldInfo, _ time.Duration, cause error) {
			held.Add(context.Background(), -1, kind(h))
			if cause != nil {
				lost.Add(context.Background(), 1, kind(h))
			}
		},
	}, nil
}
