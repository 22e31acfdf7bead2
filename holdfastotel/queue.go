package holdfastotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/holdfast-go/holdfast/queue"
)

// Queue returns hooks for [queue.Options]. They count the items that were enqueued and the messages
// that were delivered, and record how long an item waited and how long it was processed, by the
// semantic conventions of messaging. name is the queue's name, which all series have.
func Queue(name string, opts *Options) (queue.Hooks, error) {
	i := instruments{meter: opts.meter()}
	sent := i.counter("messaging.client.sent.messages", "{message}", "Items that were enqueued.")
	consumed := i.counter("messaging.client.consumed.messages", "{message}",
		"Messages that were delivered.")
	processed := i.histogram("messaging.process.duration",
		"Time from the delivery of a message to its end.")
	waited := i.histogram("holdfast.queue.wait.duration",
		"Time from the enqueue of an item to its delivery.")
	if err := i.err(); err != nil {
		return queue.Hooks{}, err
	}
	of := func(operation string, more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributes(append(more,
			attribute.String("messaging.system", "holdfast"),
			attribute.String("messaging.destination.name", name),
			attribute.String("messaging.operation.name", operation))...)
	}
	return queue.Hooks{
		Enqueued: func(ctx context.Context, items int) { sent.Add(ctx, int64(items), of("enqueue")) },
		Delivered: func(ctx context.Context, _ *queue.Message, wait time.Duration) {
			consumed.Add(ctx, 1, of("receive"))
			waited.Record(ctx, wait.Seconds(), of("receive"))
		},
		Ended: func(
			ctx context.Context, _ *queue.Message, outcome queue.Outcome, took time.Duration,
		) {
			processed.Record(ctx, took.Seconds(),
				of("process", attribute.String("holdfast.outcome", string(outcome))))
		},
	}, nil
}
