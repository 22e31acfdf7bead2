package load

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
)

// Fleet is the group of all parties, which divide its shards.
const Fleet = "fleet"

// FleetShards is the number of the shards of the [Fleet].
const FleetShards = 6

// fleetPause is the pause between two writes of a shard.
const fleetPause = 50 * time.Millisecond

// shards serves the party's shards until the end of the load. It returns an error when the member
// has ended by itself.
func (p *Party) shards() error {
	opts := &shard.Options{DrainTimeout: 10 * time.Second, Member: member.Options{
		ID: p.cfg.Name, Session: &session.Options{TTL: p.cfg.TTL, AllowShortTTL: true},
		TakeOver: true, // of a process with the name that was killed
	}}
	err := shard.Run(p.work, p.client, Fleet, FleetShards, p.serve, opts)
	if p.work.Err() != nil {
		return nil
	}
	return fmt.Errorf("the fleet: %w", err)
}

// serve writes under the shard until its function must end. The write after that is still under the
// hold when the shard moves.
func (p *Party) serve(ctx context.Context, s *shard.Shard) error {
	place := history.ShardOf(Fleet, s.Number())
	for ended := false; !ended; {
		select {
		case <-time.After(fleetPause):
		case <-ctx.Done():
			ended = true
		}
		op := p.rec.Begin(history.Op{
			Client: fmt.Sprintf("%s/%s", p.cfg.Name, place), Place: place, Verb: history.Write,
			Key: s.Key(), Fence: s.Fence(),
		})
		put := gateway.OpPut(history.ValueKey(place),
			[]byte(history.Guarded(s.Fence(), op.Token())))
		bound, cancel := context.WithTimeout(s.Context(), 10*time.Second)
		resp, err := s.Txn(bound, gateway.Txn{Then: []gateway.Op{put}})
		cancel()
		p.rec.End(op, outcome(err), err, func(o *history.Op) {
			if err == nil {
				o.Revision = resp.Revision
			}
		})
	}
	return nil
}

// views observes the members of the fleet until the end of the load.
func (p *Party) views() {
	again := time.NewTicker(fleetPause) // not at once after an error
	defer again.Stop()
	for {
		for v, err := range member.Observe(p.work, p.client, Fleet) {
			if err != nil {
				break
			}
			ids := make([]string, len(v.Members))
			for i, m := range v.Members {
				ids[i] = m.ID
			}
			p.rec.Note(history.Op{
				Client: p.cfg.Name + "/views", Place: Fleet, Verb: history.Observe,
				Revision: v.Revision, Value: fmt.Sprintf("%q", ids),
			})
		}
		select {
		case <-again.C:
		case <-p.work.Done():
			return
		}
	}
}
