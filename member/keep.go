package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// keep puts the key each time that it is not as it should be, until ctx ends. It calls there each
// time that it is. It returns the error that ends the membership, or nil when ctx has ended.
func (m *Membership) keep(ctx context.Context, s *core.Session, there func()) error {
	defer func() { m.change(Away, context.Cause(ctx), Joined, Suspect) }()
	for again := (line.Again{}); ; {
		rest, err := m.step(ctx, s, there)
		switch {
		case ctx.Err() != nil:
			return nil
		case final(err) || err != nil && !m.hasJoined() && !transient(err):
			return err
		case err != nil:
			m.change(Away, err, Joined, Suspect)
			if again.Wait(ctx) != nil {
				return nil
			}
		case rest:
			again = line.Again{}
			select {
			case <-m.wake:
			case <-ctx.Done():
			}
		}
	}
}

// final reports whether an error ends a membership that has joined.
func final(err error) bool {
	return errors.Is(err, ErrReplaced) || errors.Is(err, gateway.ErrClosed)
}

// transient reports whether an error before the first join may be over soon.
func transient(err error) bool {
	return errors.Is(err, gateway.ErrUnavailable) || errors.Is(err, gateway.ErrNoSpace)
}

func (m *Membership) hasJoined() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fence > 0
}

// step compares the key with the record that it should have, and makes at most one write. rest
// means that there is nothing to do until the next wake.
func (m *Membership) step(
	ctx context.Context, s *core.Session, there func(),
) (rest bool, _ error) {
	m.mu.Lock()
	want, seq, fence := m.want, m.seq, m.fence
	m.mu.Unlock()
	kv := m.key.get()
	if kv == nil {
		m.change(Away, session.ErrKeyDeleted, Joined, Suspect)
		cond := gateway.CmpCreateRevision(m.Key(), gateway.Equal, 0)
		return false, m.put(ctx, s, cond, want, 0)
	}
	found, known := decode(kv.Value)
	switch {
	case known && found.Token == want.Token:
		if kv.Lease == s.Lease() && bytes.Equal(kv.Value, want.encode()) {
			m.settle(kv.CreateRevision, seq)
			there()
			return true, nil
		}
	case known && fence == kv.CreateRevision: // put since this member has created or replaced it
		return false, fmt.Errorf("%w: %w", ErrReplaced, m.taken(ctx, s, *kv))
	case known && fence == 0 && m.opts.TakeOver:
	case known && fence == 0:
		return false, m.taken(ctx, s, *kv)
	case known:
		m.change(Away, m.taken(ctx, s, *kv), Joined, Suspect)
		return true, nil
	case fence == 0:
		return false, line.CorruptKey(*kv)
	}
	cond := gateway.CmpModRevision(m.Key(), gateway.Equal, kv.ModRevision)
	return false, m.put(ctx, s, cond, want, kv.CreateRevision)
}

// put writes the record if cond holds, and notes the key as it is after that. created is the
// create_revision of the key before, or 0.
func (m *Membership) put(
	ctx context.Context, s *core.Session, cond gateway.Cmp, want record, created int64,
) error {
	value := want.encode()
	out, err := s.Write(ctx, core.Write{
		If:           []gateway.Cmp{cond},
		Then:         []gateway.Op{gateway.OpPut(m.Key(), value, gateway.WithLease(s.Lease()))},
		Else:         []gateway.Op{gateway.OpGet(m.Key())},
		Compensation: m.deletion(s),
	})
	m.mu.Lock()
	m.cutOff = errors.Is(err, gateway.ErrUncertain)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if !out.Applied { // the key has changed, or an earlier try was applied
		m.key.learn(out.Responses[0].Get.KVs, out.Revision)
		return nil
	}
	if created == 0 {
		created = out.Revision
	}
	m.mu.Lock()
	m.fence = created // also if the session is lost before the next step
	m.mu.Unlock()
	m.key.learn([]gateway.KeyValue{{
		Key: m.Key(), Value: value, CreateRevision: created, ModRevision: out.Revision,
		Lease: s.Lease(),
	}}, out.Revision)
	return nil
}

// settle notes that the key has the record with the number seq.
func (m *Membership) settle(fence, seq int64) {
	m.mu.Lock()
	m.fence = fence
	m.once.Do(func() { close(m.joined) })
	if m.shown < seq {
		m.shown = seq
		close(m.changed)
		m.changed = make(chan struct{})
	}
	m.mu.Unlock()
	m.change(Joined, nil, Away)
}

// taken returns the error that names another member.
func (m *Membership) taken(ctx context.Context, s *core.Session, kv gateway.KeyValue) error {
	other, _ := memberOf(kv, prefixOf(m.group))
	e := &TakenError{Group: m.group, Other: other}
	infos, err := s.SessionInfos(ctx, other.Lease)
	if info, ok := infos[other.Lease]; ok && err == nil {
		e.Session = (*session.Info)(&info)
	}
	return e
}
