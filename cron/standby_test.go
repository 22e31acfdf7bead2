package cron_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/cron"
	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/session"
)

// TestAnIdleReplicaIsNotReportedAsWaiting: a replica that waits for its turn is not blocked, so
// neither Hooks.Waiting nor the log reports it.
func TestAnIdleReplicaIsNotReportedAsWaiting(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		var logs bytes.Buffer
		opts := &cron.Options{Session: &session.Options{
			WaitingAfter: time.Second, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
			Hooks: session.Hooks{
				Waiting: func(_ context.Context, h session.HoldInfo, d time.Duration) {
					t.Errorf("%+v waits for %v", h, d)
				},
			},
		}}
		ticks := make(chan struct{}, 10)
		fn := func(context.Context, *cron.Tick) error {
			ticks <- struct{}{}
			return nil
		}
		var replicas []*replica
		for range 2 {
			c := cron.New("a", cron.Every(time.Minute), opts)
			replicas = append(replicas, run(t.Context(), t, etcd, c, fn))
			time.Sleep(time.Second)
		}
		for range 3 {
			<-ticks
		}
		for _, r := range replicas {
			r.stop()
			_ = r.wait()
		}
		if text := logs.String(); strings.Contains(text, "still_waiting") {
			t.Error(text)
		}
	})
}
