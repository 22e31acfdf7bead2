package holdfastotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// scope is the name of the instrumentation.
const scope = "github.com/holdfast-go/holdfast/holdfastotel"

// Options configure the hooks. nil means the zero value.
type Options struct {
	// TracerProvider makes the spans. nil means the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. nil means the global one.
	MeterProvider metric.MeterProvider
	// Names adds the name that was given to the recipe to the metrics of holds. Each name is a time
	// series, so set it only where a program uses few names.
	Names bool
}

func (o *Options) tracer() trace.Tracer {
	if o == nil || o.TracerProvider == nil {
		return otel.Tracer(scope)
	}
	return o.TracerProvider.Tracer(scope)
}

func (o *Options) meter() metric.Meter {
	if o == nil || o.MeterProvider == nil {
		return otel.Meter(scope)
	}
	return o.MeterProvider.Meter(scope)
}

// seconds are the bounds of the histograms: from a request in a local network to a wait of hours.
var seconds = []float64{
	.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 10800,
}

// instruments makes the instruments of a meter, and keeps the errors.
type instruments struct {
	meter metric.Meter
	errs  []error
}

func (i *instruments) histogram(name, description string) metric.Float64Histogram {
	h, err := i.meter.Float64Histogram(name, metric.WithUnit("s"),
		metric.WithDescription(description), metric.WithExplicitBucketBoundaries(seconds...))
	i.errs = append(i.errs, err)
	return h
}

func (i *instruments) counter(name, unit, description string) metric.Int64Counter {
	c, err := i.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.errs = append(i.errs, err)
	return c
}

func (i *instruments) upDown(name, unit, description string) metric.Int64UpDownCounter {
	c, err := i.meter.Int64UpDownCounter(name,
		metric.WithUnit(unit), metric.WithDescription(description))
	i.errs = append(i.errs, err)
	return c
}

func (i *instruments) err() error { return errors.Join(i.errs...) }

// errorTypes are the values of error.type, the most specific first.
var errorTypes = []struct {
	err  error
	name string
}{
	{session.ErrKeyDeleted, "key_deleted"},
	{session.ErrResumedElsewhere, "resumed_elsewhere"},
	{session.ErrRevoked, "revoked"},
	{session.ErrExpired, "expired"},
	{session.ErrClosed, "closed"},
	{gateway.ErrCompacted, "compacted"},
	{gateway.ErrLeaseNotFound, "lease_not_found"},
	{gateway.ErrUnauthenticated, "unauthenticated"},
	{gateway.ErrPermissionDenied, "permission_denied"},
	{gateway.ErrNoSpace, "no_space"},
	{gateway.ErrInvalid, "invalid"},
	{gateway.ErrUncertain, "uncertain"},
	{gateway.ErrProtocol, "protocol"},
	{gateway.ErrUnavailable, "unavailable"},
	{context.DeadlineExceeded, "deadline_exceeded"},
	{context.Canceled, "canceled"},
}

// errorType returns the attribute error.type: one of few values, because an error's text may differ
// each time.
func errorType(err error) attribute.KeyValue {
	for _, t := range errorTypes {
		if errors.Is(err, t.err) {
			return attribute.String("error.type", t.name)
		}
	}
	return attribute.String("error.type", "_OTHER")
}
