package shard_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/internal/bubble"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
)

// TestAMemberThatWouldLeadIsNotReportedAsWaiting: the members wait in the line of the leader, but
// they have their shards, so Hooks.Waiting is not called.
func TestAMemberThatWouldLeadIsNotReportedAsWaiting(t *testing.T) {
	t.Parallel()
	bubble.Run(t, func(t *testing.T, etcd *fakeetcd.Server) {
		f := newFleet(t, etcd, 4)
		for _, id := range []string{"a", "b"} {
			f.start(id, shard.Options{Member: member.Options{Session: &session.Options{
				WaitingAfter: 5 * time.Second,
				Hooks: session.Hooks{
					Waiting: func(_ context.Context, h session.HoldInfo, d time.Duration) {
						t.Errorf("%+v waits for %v", h, d)
					},
				},
			}}})
		}
		time.Sleep(time.Minute)
		f.want("a 2, b 2")
	})
}
