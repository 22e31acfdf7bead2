package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// dedupLease is a lease, not the session's, that keeps de-duplication keys for the window. It has twice the window to
// live and takes new keys in the first half.
type dedupLease struct {
	mu    sync.Mutex
	id    gateway.LeaseID
	since time.Time
}

func (d *dedupLease) get(ctx context.Context, q *Queue) (gateway.LeaseID, error) {
	d.mu.Lock()
	id, since := d.id, d.since
	d.mu.Unlock()
	if id != 0 && time.Since(since) < q.opt.DedupWindow {
		return id, nil
	}
	since = time.Now()
	g, err := q.s.Client().Grant(ctx, gateway.NewLeaseID(), 2*q.opt.DedupWindow)
	if err != nil {
		return 0, err
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

// withLease calls do with the lease that the move needs, if it needs one, and once more if somebody has revoked it: etcd
// then applies nothing.
func (q *Queue) withLease(ctx context.Context, m *move, do func() error) error {
	if !slices.ContainsFunc(m.dedups, func(id string) bool { return id != "" }) {
		return do()
	}
	for again := false; ; again = true {
		var err error
		if m.lease, err = q.dedup.get(ctx, q); err != nil {
			return err
		}
		err = do()
		if !errors.Is(err, gateway.ErrLeaseNotFound) || errors.Is(err, gateway.ErrUncertain) || again {
			return err
		}
		q.dedup.drop(m.lease)
	}
}

// once puts an item unless its de-duplication key exists.
func (q *Queue) once(dedup, id string, lease gateway.LeaseID, put gateway.Op) gateway.Txn {
	key := q.keys.dedups + dedup
	return gateway.Txn{
		If:   []gateway.Cmp{gateway.CreateRevision(key, gateway.Equal, 0)},
		Then: []gateway.Op{put, gateway.OpPut(key, []byte(id), gateway.WithLease(lease))},
		Else: []gateway.Op{gateway.OpGet(key)},
	}
}

// resolve gives the records that were there before the IDs they have. resp.Responses is nil if the answer was lost.
func (q *Queue) resolve(ctx context.Context, m *move, resp *gateway.TxnResponse) error {
	for i, dedup := range m.dedups {
		if dedup == "" {
			continue
		}
		var found *gateway.GetResponse
		switch {
		case resp.Responses == nil:
			var err error
			if found, err = q.s.Client().Get(ctx, q.keys.dedups+dedup); err != nil {
				return uncertain(err)
			}
		case resp.Responses[i].Txn.Succeeded:
			continue
		default:
			found = resp.Responses[i].Txn.Responses[0].Get
		}
		if len(found.KVs) > 0 {
			m.records[i].ID = string(found.KVs[0].Value)
		}
	}
	return nil
}
