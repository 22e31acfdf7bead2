package holdfastotel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sums returns the value of each series of a counter.
func sums(t *testing.T, r sdkmetric.Reader, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range sum.DataPoints {
					out[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
				}
			}
		}
	}
	return out
}

// TestAStreamThatWasNotOpenedIsNotSubtracted: StreamEnded is called for endpoints without a stream.
func TestAStreamThatWasNotOpenedIsNotSubtracted(t *testing.T) {
	r := sdkmetric.NewManualReader()
	h, err := Client(&Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))})
	if err != nil {
		t.Fatal(err)
	}
	h.StreamEnded("http://a:1", time.Second, gateway.ErrUnavailable)
	h.StreamOpened("http://b:2/path")
	h.StreamOpened("http://b:2/path")
	h.StreamEnded("http://b:2/path", time.Second, nil)
	h.StreamEnded("http://a:1", time.Second, gateway.ErrUnavailable)
	if got := fmt.Sprint(sums(t, r, "holdfast.client.streams")); got != "map[server.address=b:2:1]" {
		t.Error(got)
	}
}

// TestHoldsAreCountedByRecipeAndOnRequestByName: the name is an attribute with Options.Names alone.
func TestHoldsAreCountedByRecipeAndOnRequestByName(t *testing.T) {
	for names, want := range map[bool]string{
		false: "map[holdfast.recipe=mutex:1]", true: "map[holdfast.name=jobs,holdfast.recipe=mutex:1]",
	} {
		r := sdkmetric.NewManualReader()
		h, err := Session(&Options{
			MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(r)), Names: names,
		})
		if err != nil {
			t.Fatal(err)
		}
		info := session.HoldInfo{Kind: "mutex", Name: "jobs", Key: "jobs/1", Fence: 1}
		h.Acquired(t.Context(), info, time.Second)
		h.Acquired(t.Context(), info, time.Second)
		h.HoldEnded(info, time.Second, nil)
		if got := fmt.Sprint(sums(t, r, "holdfast.hold.active")); got != want {
			t.Error(got)
		}
		if got := sums(t, r, "holdfast.hold.lost"); len(got) > 0 {
			t.Errorf("a release is a loss: %v", got)
		}
		if got := len(sums(t, r, "holdfast.session.lost")); got != 4 {
			t.Errorf("%d series of lost sessions before the first loss", got)
		}
	}
}

// TestAnErrorHasOneOfFewTypes: the type does not depend on the text, and the most specific one is
// taken.
func TestAnErrorHasOneOfFewTypes(t *testing.T) {
	for want, err := range map[string]error{
		"expired":     fmt.Errorf("%w: %w", session.ErrLost, session.ErrExpired),
		"uncertain":   errors.Join(gateway.ErrUncertain, context.DeadlineExceeded),
		"unavailable": fmt.Errorf("%w (last attempt: %w)", context.Canceled, gateway.ErrUnavailable),
		"canceled":    context.Canceled,
		"_OTHER":      errors.New("new"),
	} {
		if got := errorType(err).Value.AsString(); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}

// TestWithoutOptionsTheGlobalProvidersAreUsed: nil options are the zero options.
func TestWithoutOptionsTheGlobalProvidersAreUsed(t *testing.T) {
	h, err := Client(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Attempt(t.Context(), gateway.Attempt{Op: "get", Endpoint: "::", Err: gateway.ErrUnavailable})
	s, err := Session(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Renewed(time.Second)
	s.Suspect()
	s.Lost(session.ErrExpired)
}
