package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
)

// OverdueGrace is the time between the end of an overdue hold and the deletion of its key. It is
// ten times the margin that a program has to stop after any other loss, because work that was slow
// enough to be overdue may also be slow to stop.
const OverdueGrace = 10 * margin

// limit is the longest time that a hold may last without progress. Time in which the machine
// sleeps counts, because others wait during it. The hold's mu guards it.
type limit struct {
	max   time.Duration
	since clock.Instant // the time of the grant, or of the last Progress
	timer *time.Timer

	granted   time.Time
	published bool // see publishSince
}

func (l *limit) left() time.Duration { return l.max - clock.Elapsed(l.since, clock.Now()) }

// Limit ends the hold after the time most, or that long after the last [Hold.Progress]: first its
// context, with [ErrOverdue], and after [OverdueGrace] the key is deleted. Only the recipe calls
// it, once, before others may release the hold.
func (g *Releaser) Limit(most time.Duration) {
	h := g.h
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limit = &limit{max: most, since: clock.Now(), granted: time.Now()}
	h.limit.timer = time.AfterFunc(min(most/2, tickEvery), g.checkLimit)
}

// Progress is documented at mutex.Lock.Progress.
func (h *Hold) Progress() error {
	err := h.Err() // reads the clock
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		err = h.ended
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotHeld, err)
	}
	if h.limit != nil {
		h.limit.since = clock.Now()
	}
	return nil
}

// overdue reports whether the limit is over. h.mu is held.
func (h *Hold) overdue() bool { return h.limit != nil && h.limit.left() <= 0 }

// checkLimit ends an overdue hold, or sets the timer for the next look at the clock.
func (g *Releaser) checkLimit() {
	h := g.h
	if h.s.Err() != nil {
		return
	}
	h.mu.Lock()
	late, publish := h.overdue(), false
	if h.ended == nil && !late {
		h.limit.timer.Reset(min(h.limit.left(), tickEvery))
		publish = !h.limit.published
		h.limit.published = true
	}
	h.mu.Unlock()
	if publish {
		g.publishSince()
	}
	if late {
		h.end(lost(ErrOverdue))
	}
	if errors.Is(h.Err(), ErrOverdue) {
		time.AfterFunc(OverdueGrace, g.deleteOverdue)
	}
}

// stopLimit stops the timer of a hold that was released.
func (h *Hold) stopLimit() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limit != nil {
		h.limit.timer.Stop()
	}
}

// deleteOverdue deletes the key of an overdue hold that was not released within the grace.
func (g *Releaser) deleteOverdue() {
	g.mu.Lock()
	held := g.state == releaseHeld && !g.foreign
	if held {
		g.state = releaseDone
	}
	g.mu.Unlock()
	if held {
		g.compensateDeletion()
	}
}

// compensateDeletion deletes the key of a hold that has ended, in the background. Only the key is
// deleted, because the hold did not end with a release.
func (g *Releaser) compensateDeletion() {
	g.h.s.unwatched.remove(g)
	since := gateway.OpDelete(g.h.s.sinceKey(g.h.key))
	g.h.s.Compensate(Write{
		Compensation: onlyIf([]gateway.Cmp{g.h.Guard()}, g.deletion[0], since),
		OnResolved:   g.free,
	})
}

// since is the value of the key that shows others the time of a grant.
type since struct {
	Fence int64     `json:"fence"`
	Since time.Time `json:"since"`
}

func (s *Session) sinceKey(key string) string { return sinceKey(s.record, key) }

// sinceKey returns the key below the record of a session for the key of a hold.
func sinceKey(record, key string) string { return record + "/since/" + key }

// HeldKey is the key of a hold, its fence, and the lease of its session.
type HeldKey struct {
	Key   string
	Fence int64
	Lease gateway.LeaseID
}

// HeldSince returns the times of the grants of holds that have a limit, by the clocks of their
// processes, and the zero time for others.
func HeldSince(ctx context.Context, s *Session, holds []HeldKey) ([]time.Time, error) {
	keys := make([]string, len(holds))
	for i, h := range holds {
		keys[i] = sinceKey(RecordKey(s, h.Lease), h.Key)
	}
	values, err := s.lookUp(ctx, keys)
	if err != nil {
		return nil, err
	}
	out := make([]time.Time, len(holds))
	for i, h := range holds {
		var found since
		if json.Unmarshal(values[i], &found) == nil && found.Fence == h.Fence {
			out[i] = found.Since
		}
	}
	return out, nil
}

// publishSince writes the time of the grant in the background. checkLimit calls it at its first
// look at the clock, because most holds are shorter and need no write. The hold does not depend on
// it, so that a failure is not an error.
func (g *Releaser) publishSince() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != releaseHeld {
		return
	}
	h, s := g.h, g.h.s
	key := s.sinceKey(h.key)
	g.AddReleaseOps(gateway.OpDelete(key))
	h.mu.Lock()
	h.under.shown = true
	value, _ := json.Marshal(since{h.fence, h.limit.granted.UTC().Truncate(time.Millisecond)})
	h.mu.Unlock()
	s.Background(func(ctx context.Context) {
		_, _ = h.Write(ctx, Write{
			Then: []gateway.Op{gateway.OpPut(key, value, gateway.WithLease(s.lease))},
		})
	})
}
