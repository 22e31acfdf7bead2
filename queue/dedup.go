package queue

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/internal/line"
)

// dedupLease is a lease, not the session's, that keeps de-duplication keys for the window. It has
// twice the window to live and takes new keys in the first half.
type dedupLease struct {
	mu    sync.Mutex
	id    gateway.LeaseID
	since clock.Instant // the lease also ends while the machine sleeps
}

func (d *dedupLease) get(ctx context.Context, p *producer) (gateway.LeaseID, error) {
	d.mu.Lock()
	id, since := d.id, d.since
	d.mu.Unlock()
	if id != 0 && clock.Elapsed(since, clock.Now()) < p.opt.DedupWindow {
		return id, nil
	}
	since = clock.Now()
	g, err := p.host.Client().Grant(ctx, gateway.NewLeaseID(), 2*p.opt.DedupWindow)
	if err != nil {
		return 0, core.Certain(ctx, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.id, d.since = g.ID, since
	return g.ID, nil
}

// drop forgets a lease that somebody has revoked.
func (d *dedupLease) drop(id gateway.LeaseID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.id == id {
		d.id = 0
	}
}

// withLease calls do with the lease that the move needs, if it needs one, and once more if somebody
// has revoked it: etcd then applies nothing.
func (p *producer) withLease(ctx context.Context, m *batch, do func() error) error {
	if !m.mayHaveDuplicates() {
		return do()
	}
	for again := false; ; again = true {
		var err error
		if m.lease, err = p.dedup.get(ctx, p); err != nil {
			return err
		}
		err = do()
		if again || !errors.Is(err, gateway.ErrLeaseNotFound) ||
			errors.Is(err, gateway.ErrUncertain) {
			return err
		}
		p.dedup.drop(m.lease)
	}
}

func (m *batch) mayHaveDuplicates() bool {
	return slices.ContainsFunc(m.dedups, func(id string) bool { return id != "" })
}

// readDedups reads the de-duplication keys of a move, in the order of its records.
func (p *producer) readDedups(m *batch) (ops []gateway.Op) {
	for _, id := range m.dedups {
		if id != "" {
			ops = append(ops, gateway.OpGet(p.keys.dedups+id))
		}
	}
	return ops
}

// dropFound reads the de-duplication keys of a batch that has no room, because a duplicate needs
// none.
func (p *producer) dropFound(ctx context.Context, m *batch) error {
	ops := p.readDedups(m)
	if len(ops) == 0 {
		return nil
	}
	resp, err := p.host.Client().Txn(ctx, gateway.Txn{Then: ops})
	if err != nil {
		return err
	}
	_, err = m.drop(resp.Responses)
	return err
}

// drop gives the records that were enqueued before the IDs they have, and takes them out of the
// batch, so that it takes numbers for new items only. The answers are those to readDedups. It
// returns false if all records are new.
func (m *batch) drop(answers []gateway.OpResponse) (bool, error) {
	var records []*record
	var dedups []string
	for i, id := range m.dedups {
		if id != "" {
			found := answers[0].Get.KVs
			answers = answers[1:]
			if len(found) > 0 {
				earlier := string(found[0].Value)
				if !plainID(earlier) {
					return false, line.CorruptKey(found[0])
				}
				m.records[i].ID, m.records[i].done = earlier, true
				continue
			}
		}
		records, dedups = append(records, m.records[i]), append(dedups, id)
	}
	if len(records) == len(m.records) || m.dedups == nil {
		return false, nil
	}
	m.records, m.dedups = records, dedups
	return true, nil
}
