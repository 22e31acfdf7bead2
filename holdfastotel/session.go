package holdfastotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-go/holdfast/session"
)

// Session returns hooks for [session.Options]. They record the renewals and the end of sessions,
// and the waits for holds, the holds and their end.
func Session(opts *Options) (session.Hooks, error) {
	tracer, i := opts.tracer(), instruments{meter: opts.meter()}
	renewed := i.histogram("holdfast.session.renewal.duration", "Acknowledged renewals of leases.")
	suspect := i.counter("holdfast.session.suspect", "{session}",
		"Sessions whose renewal became late.")
	lost := i.counter("holdfast.session.lost", "{session}", "Sessions that ended without Close.")
	waited := i.histogram("holdfast.hold.wait.duration", "Waits for a hold that was granted.")
	active := i.upDown("holdfast.hold.active", "{hold}", "Holds.")
	held := i.histogram("holdfast.hold.duration", "Holds that ended.")
	lostHolds := i.counter("holdfast.hold.lost", "{hold}", "Holds that ended without a release.")
	if err := i.err(); err != nil {
		return session.Hooks{}, err
	}
	of := func(h session.HoldInfo, more ...attribute.KeyValue) metric.MeasurementOption {
		more = append(more, attribute.String("holdfast.recipe", h.Kind))
		if opts != nil && opts.Names {
			more = append(more, attribute.String("holdfast.name", h.Name))
		}
		return metric.WithAttributes(more...)
	}
	ctx := context.Background() // sessions and holds end outside of calls
	// So that the first event is an increase.
	suspect.Add(ctx, 0)
	for _, cause := range []error{
		session.ErrExpired, session.ErrRevoked, session.ErrKeyDeleted, session.ErrResumedElsewhere,
	} {
		lost.Add(ctx, 0, metric.WithAttributes(errorType(cause)))
	}
	return session.Hooks{
		Renewed: func(took time.Duration) { renewed.Record(ctx, took.Seconds()) },
		Suspect: func() { suspect.Add(ctx, 1) },
		Lost: func(cause error) {
			lost.Add(ctx, 1, metric.WithAttributes(errorType(cause)))
		},
		Acquired: func(ctx context.Context, h session.HoldInfo, wait time.Duration) {
			_, span := tracer.Start(ctx, "holdfast acquire "+h.Kind,
				trace.WithTimestamp(time.Now().Add(-wait)),
				trace.WithSpanKind(trace.SpanKindClient))
			span.End()
			waited.Record(ctx, wait.Seconds(), of(h))
			active.Add(ctx, 1, of(h))
		},
		HoldEnded: func(h session.HoldInfo, lasted time.Duration, cause error) {
			active.Add(ctx, -1, of(h))
			held.Record(ctx, lasted.Seconds(), of(h))
			if cause != nil {
				lostHolds.Add(ctx, 1, of(h, errorType(cause)))
			}
		},
	}, nil
}
