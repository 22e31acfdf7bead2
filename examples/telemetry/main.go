// Telemetry records requests as OpenTelemetry spans and holds as metrics. Copy hooks.go to your own
// program. Here the spans and metrics are kept in memory and printed.
package main

import (
	"context"
	"fmt"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func main() { local.Main(work) }

func work(ctx context.Context, cfg gateway.Config) error {
	spans, metrics := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("example")
	cfg.Hooks = traced(tracer)
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics)).Meter("example")
	hooks, err := measured(meter) //nolint:contextcheck // holds end outside of calls
	if err != nil {
		return err
	}
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := session.New(ctx, client, &session.Options{Hooks: hooks})
	if err != nil {
		return err
	}
	spans.Reset()

	ctx, span := tracer.Start(ctx, "nightly")
	job := mutex.New(s, "jobs/nightly", nil)
	err = job.Do(ctx, func(ctx context.Context, lock *mutex.Lock) error {
		_, err := lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut("report", nil)}})
		return err
	})
	span.End()
	if err != nil {
		return err
	}
	if err := s.Close(ctx); err != nil { // also waits for the hooks
		return err
	}
	for _, s := range spans.GetSpans() {
		inTrace := span.SpanContext().TraceID() == s.SpanContext.TraceID()
		fmt.Println("span:", s.Name, "in the trace:", inTrace)
	}
	return show(ctx, metrics)
}

func show(ctx context.Context, metrics sdkmetric.Reader) error {
	var all metricdata.ResourceMetrics
	if err := metrics.Collect(ctx, &all); err != nil {
		return err
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Histogram[float64]:
			fmt.Println(m.Name, "of", data.DataPoints[0].Count)
		case metricdata.Sum[int64]:
			fmt.Println(m.Name, data.DataPoints[0].Value)
		}
	}
	return nil
}
