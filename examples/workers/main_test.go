package main

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/examples/internal/localtest"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Unordered output:
	// plain: attempt 1 worked
	// shaky: attempt 1 failed
	// shaky: attempt 2 worked
	// broken: attempt 1 failed
	// broken: attempt 2 failed
	// broken: attempt 3 failed
	// broken: put aside after 3 attempts
	// broken: attempt 1 worked
}

// TestALostSessionDelaysTheWorkAndRepeatsNone: the loss of a session delays the work but duplicates
// no task.
func TestALostSessionDelaysTheWorkAndRepeatsNone(t *testing.T) {
	endpoint, stop, err := local.Etcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	cfg := gateway.Config{Endpoints: []string{endpoint}}
	client, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- story(ctx, cfg) }()
	loseSession(ctx, t, client)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s, err := session.New(ctx, client, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(ctx)
	left, err := queue.New(s, "tasks", nil).Stats(ctx)
	if err != nil || left.Ready+left.Claimed+left.Delayed+left.Dead != 0 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// loseSession revokes the lease of the only session after the first result.
func loseSession(ctx context.Context, t *testing.T, client *gateway.Client) {
	t.Helper()
	_, err := client.WatchOnce(ctx, "results/", gateway.Prefix(), gateway.AtRevision(1))
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := client.Get(ctx, session.DefaultRecordPrefix,
		gateway.Prefix(), gateway.Limit(1))
	if err != nil || len(sessions.KVs) == 0 {
		t.Fatalf("no session: %v", err)
	}
	if err := client.Revoke(ctx, sessions.KVs[0].Lease); err != nil {
		t.Fatal(err)
	}
}
