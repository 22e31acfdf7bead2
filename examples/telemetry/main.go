// Telemetry serves OpenTelemetry metrics of locks and sessions as a Prometheus endpoint, and
// records requests as spans. The dashboard and the alert rules in deploy/ are made for these
// metrics.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/holdfastotel"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func main() { local.Main(work) }

func work(ctx context.Context, cfg gateway.Config) error {
	return measure(ctx, cfg, func(scrape string) {
		for _, name := range families(scrape) {
			fmt.Println(name)
		}
	})
}

// measure uses the library, and calls show with the metrics that a scrape returns then.
func measure(ctx context.Context, cfg gateway.Config, show func(scrape string)) error {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return err
	}
	spans := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	opts := &holdfastotel.Options{
		TracerProvider: tracers,
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)),
	}
	stop, url, err := serve(ctx, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	if err != nil {
		return err
	}
	defer stop()

	//nolint:contextcheck // streams end outside of calls
	if cfg.Hooks, err = holdfastotel.Client(opts); err != nil {
		return err
	}
	hooks, err := holdfastotel.Session(opts) //nolint:contextcheck // holds end outside of calls
	if err != nil {
		return err
	}
	client, err := gateway.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := session.New(ctx, client, &session.Options{TTL: 5 * time.Second, Hooks: hooks})
	if err != nil {
		return err
	}
	spans.Reset()
	if err := nightly(ctx, s, tracers, spans); err != nil {
		return err
	}
	if err := mails(ctx, s, opts); err != nil {
		return err
	}
	if err := losses(ctx, s); err != nil {
		return err
	}
	scrape, err := get(ctx, url)
	if err == nil {
		show(scrape)
	}
	return err
}

// serve serves the metrics on a free port of this host.
func serve(ctx context.Context, metrics http.Handler) (stop func(), url string, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", metrics)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // until it is closed
	}()
	return func() { _ = server.Close(); <-done }, "http://" + l.Addr().String() + "/metrics", nil
}

// nightly runs a job below a span, and prints the spans.
func nightly(
	ctx context.Context, s *session.Session, tracers *sdktrace.TracerProvider,
	spans *tracetest.InMemoryExporter,
) error {
	ctx, span := tracers.Tracer("example").Start(ctx, "nightly")
	job := mutex.New(s, "jobs/nightly", nil)
	err := job.Do(ctx, func(ctx context.Context, lock *mutex.Lock) error {
		_, err := lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut("report", nil)}})
		return err
	})
	span.End()
	if err != nil {
		return err
	}
	for _, s := range spans.GetSpans() {
		inTrace := span.SpanContext().TraceID() == s.SpanContext.TraceID()
		fmt.Println("span:", s.Name, "in the trace:", inTrace)
	}
	return nil
}

// mails enqueues an item and receives it.
func mails(ctx context.Context, s *session.Session, opts *holdfastotel.Options) error {
	hooks, err := holdfastotel.Queue("mails", opts)
	if err != nil {
		return err
	}
	q := queue.New(s, "mails", &queue.Options{Hooks: hooks})
	if _, err := q.Enqueue(ctx, []byte("to a@example.org"), nil); err != nil {
		return err
	}
	m, err := q.Receive(ctx)
	if err != nil {
		return err
	}
	return m.Ack(ctx)
}

// losses loses a lock, because its key is deleted, and then the session, because its lease is
// revoked. A request fails, too.
func losses(ctx context.Context, s *session.Session) error {
	lock, err := mutex.New(s, "jobs/lost", nil).Lock(ctx)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for first := s.Deadline(); s.Deadline().Equal(first); { // until the lease has been renewed
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := s.Client().Delete(ctx, lock.Key()); err != nil {
		return err
	}
	<-lock.Context().Done()
	if _, err := s.Client().Get(ctx, "report", gateway.AtRevision(1<<40)); err == nil {
		return errors.New("read the future")
	}
	if err := s.Client().Revoke(ctx, s.Lease()); err != nil {
		return err
	}
	<-s.Context().Done()
	return s.Close(ctx) // also waits for the hooks
}

// get scrapes the metrics.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
