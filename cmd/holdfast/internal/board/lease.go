package board

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// LeasesPerSecond is the number of leases whose remaining time is read each second at most, while
// snapshots are taken.
const LeasesPerSecond = 64

// readers is the number of concurrent reads of leases.
const readers = 8

// idle is how long after the last snapshot no leases are read.
const idle = 5 * time.Second

// lease is the state of a lease. The board's mutex guards it.
type lease struct {
	id                   gateway.LeaseID
	names                map[*name]int // with the number of members
	holds, waits, blocks int
	detached             bool // it is of a detached lock, which renews it seldom, or never
	ttl, left            time.Duration
	checked              time.Time
	changed              bool
	shown                *Session
}

func (b *Board) lease(id gateway.LeaseID) *lease {
	l := b.leases[id]
	if l == nil {
		l = &lease{id: id, names: map[*name]int{}, changed: true}
		b.leases[id] = l
	}
	return l
}

// count adds the members of a name to their leases, or subtracts them with the sign -1.
func (b *Board) count(n *name, s *Name, sign int) {
	if s == nil {
		return
	}
	add := func(id gateway.LeaseID, holds, waits, blocks int) {
		if id == 0 {
			return
		}
		l := b.lease(id)
		l.holds += sign * holds
		l.waits += sign * waits
		l.blocks += sign * blocks
		l.changed = true
		if l.names[n] += sign; l.names[n] <= 0 {
			delete(l.names, n)
		}
	}
	waiting := 0
	if s.Recipe != inspect.Barrier && s.Recipe != inspect.Latch {
		waiting = s.Waiting
	}
	for i := range s.Members {
		m := &s.Members[i]
		if m.Detached && m.Lease != 0 {
			b.lease(m.Lease).detached = true
		}
		if m.Holds {
			add(m.Lease, 1, 0, waiting)
		} else {
			add(m.Lease, 0, 1, 0)
		}
	}
	if s.Group != nil {
		for _, m := range s.Group.Members {
			add(m.Lease, 1, 0, 0)
		}
	}
}

// sessions returns the sessions that are shown. mu must be locked.
func (b *Board) sessions() []*Session {
	out := make([]*Session, 0, len(b.leases))
	for id, l := range b.leases {
		if len(l.names) == 0 && b.records[id] == nil {
			delete(b.leases, id)
			continue
		}
		if b.prefix != "" && len(l.names) == 0 {
			continue // a session of other names
		}
		if l.changed {
			l.changed = false
			l.shown = &Session{
				Lease: id, Info: b.records[id], Holds: l.holds, Waits: l.waits, Blocks: l.blocks,
				TTL: l.ttl, Left: l.left, Checked: l.checked,
				// etcd returns whole seconds, rounded down.
				Suspect: !l.detached && !l.checked.IsZero() && l.left+time.Second <= l.ttl/2,
			}
		}
		out = append(out, l.shown)
	}
	slices.SortFunc(out, func(x, y *Session) int { return cmp.Compare(x.Lease, y.Lease) })
	return out
}

// tick takes a snapshot each second if something has changed, so that the times of changes are
// exact within a second. It reads leases while snapshots are taken.
func (b *Board) tick(ctx context.Context) {
	for wait(ctx, time.Second); ctx.Err() == nil; wait(ctx, time.Second) {
		b.mu.Lock()
		watched := time.Since(b.used) < idle
		due := b.due()
		for _, n := range b.names {
			if !n.empty.IsZero() && time.Since(n.empty) > linger {
				b.dirty[n] = true
				b.changed()
			}
		}
		b.build()
		b.mu.Unlock()
		if watched {
			b.ping(ctx)
			b.read(ctx, due)
		}
	}
}

// due returns the leases to read next. mu must be locked.
func (b *Board) due() []gateway.LeaseID {
	now := time.Now()
	rank := func(l *lease) time.Duration {
		age := now.Sub(l.checked)
		switch {
		case l.blocks > 0:
			return 8 * age
		case l.holds > 0:
			return 2 * age
		}
		return age
	}
	all := slices.Collect(maps.Values(b.leases))
	all = slices.DeleteFunc(all, func(l *lease) bool {
		return len(l.names) == 0 || now.Sub(l.checked) < 900*time.Millisecond
	})
	slices.SortFunc(all, func(x, y *lease) int { return cmp.Compare(rank(y), rank(x)) })
	var ids []gateway.LeaseID
	for _, l := range all[:min(len(all), LeasesPerSecond)] {
		ids = append(ids, l.id)
	}
	return ids
}

// answerLimit is how long etcd may take to answer before the picture counts as old.
const answerLimit = 3 * time.Second

// ping records whether etcd answers.
func (b *Board) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	_, err := b.client.Get(ctx, session.DefaultRecordPrefix, gateway.KeysOnly())
	if errors.Is(err, gateway.ErrPermissionDenied) { // etcd has answered
		err = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setProblem(nil, err)
}

// read reads the remaining times of leases.
func (b *Board) read(ctx context.Context, ids []gateway.LeaseID) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	next := make(chan gateway.LeaseID, len(ids))
	for _, id := range ids {
		next <- id
	}
	close(next)
	var all sync.WaitGroup
	for range min(readers, len(ids)) {
		all.Go(func() {
			for id := range next {
				info, err := b.client.TimeToLive(ctx, id, false)
				b.record(id, info, err)
			}
		})
	}
	all.Wait()
}

// record records the answer of a read of a lease.
func (b *Board) record(id gateway.LeaseID, info gateway.LeaseInfo, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.leases[id]
	switch {
	case l == nil:
		return
	case errors.Is(err, gateway.ErrLeaseNotFound): // its keys will be deleted
		l.left = 0
	case err != nil:
		return
	default:
		l.ttl, l.left = info.GrantedTTL, info.TTL
	}
	l.checked, l.changed = time.Now(), true
	b.changed()
}
