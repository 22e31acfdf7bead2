// Package board keeps a live picture of all names with a prefix, for programs that show it.
//
// # Usage
//
//	b, err := board.Open(ctx, client, "jobs/")
//	if err != nil {
//		return err
//	}
//	defer b.Close()
//	for seen := b.Snapshot(); ; {
//		draw(seen)
//		if seen, err = b.Next(ctx, seen); err != nil {
//			return err
//		}
//	}
//
// A [Snapshot] does not change. Names and sessions that are equal in two snapshots are the same
// pointers, so [Diff] finds the rest quickly.
//
// # Limitations
//
// The picture is fed by watches of the prefix, of the session records, and of the records of broken
// holds. It counts the items of queues and does not keep them. Values are cut after [MaxValue]
// bytes.
//
// etcd does not report renewals of leases. While snapshots are taken, the board reads the remaining
// time of at most [LeasesPerSecond] leases a second, those first for which others wait.
//
// # Concurrency
//
// A Board is safe for concurrent use.
package board

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/inspect"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// MaxValue is the number of bytes that are kept of a value.
const MaxValue = 256

// Board is the picture. [Board.Close] releases it.
type Board struct {
	client *gateway.Client
	prefix string
	feeds  []*feed
	stop   context.CancelFunc
	runs   sync.WaitGroup

	mu       sync.Mutex
	revision int64
	names    map[string]*name
	records  map[gateway.LeaseID]*session.Info
	since    map[string]held // by the key of the hold
	leases   map[gateway.LeaseID]*lease
	dirty    map[*name]bool
	lines    bool      // a line has changed since the cycles were computed
	current  *Snapshot // nil if something has changed since
	previous *Snapshot
	stale    chan struct{} // closed at the first change after current
	used     time.Time     // of the last snapshot that a user took
	lingers  int           // number of names without keys

	notes    map[string]string // by feed
	problems map[*feed]problem // of the feeds whose keys are old; of the ping with nil
}

// Open loads the names that begin with prefix, and follows them until [Board.Close]. ctx bounds the
// load only. It returns the error of a failed request, such as [gateway.ErrPermissionDenied] for
// the prefix. Session records and records of broken holds that the user may not read are left out,
// with a note in the snapshot.
func Open(ctx context.Context, c *gateway.Client, prefix string) (*Board, error) {
	b := &Board{
		client: c, prefix: prefix, names: map[string]*name{}, since: map[string]held{},
		records: map[gateway.LeaseID]*session.Info{}, leases: map[gateway.LeaseID]*lease{},
		dirty: map[*name]bool{}, stale: make(chan struct{}), notes: map[string]string{},
		problems: map[*feed]problem{},
	}
	b.feeds = []*feed{newFeed(b, prefix, "")}
	for _, other := range []struct{ prefix, what string }{
		{session.DefaultRecordPrefix, "the session records"},
		{inspect.BrokenPrefix + prefix, "the records of broken holds"},
	} {
		if !covers(prefix, other.prefix) {
			b.feeds = append(b.feeds, newFeed(b, other.prefix, other.what))
		}
	}
	for _, f := range b.feeds {
		if err := f.load(ctx); err != nil {
			for _, f := range b.feeds {
				f.Close()
			}
			return nil, err
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // ctx bounds the load only
	b.stop = stop
	for _, f := range b.feeds {
		b.runs.Go(func() { f.follow(running) })
	}
	b.runs.Go(func() { b.tick(running) })
	return b, nil
}

// Close ends the picture. The last snapshot remains.
func (b *Board) Close() {
	b.stop()
	for _, f := range b.feeds {
		f.Close()
	}
	b.runs.Wait()
}

// Snapshot returns the picture as it is now. It costs nothing until something has changed, and else
// in proportion to the names that have changed.
func (b *Board) Snapshot() *Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = time.Now()
	return b.build()
}

// Next returns a snapshot that is later than seen, when there is one. It returns ctx's error when
// ctx ends first. Call it at the rate at which you draw: changes in between become one.
func (b *Board) Next(ctx context.Context, seen *Snapshot) (*Snapshot, error) {
	select {
	case <-seen.stale:
		return b.Snapshot(), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// changed marks the present snapshot as old. mu must be locked.
func (b *Board) changed() {
	if b.current == nil {
		return
	}
	close(b.stale)
	b.stale = make(chan struct{})
	b.current = nil
}

// problem is a reason why the picture may be old.
type problem struct {
	err   error
	since time.Time
}

// setProblem records the result of a feed, or of the ping. mu must be locked.
func (b *Board) setProblem(of *feed, err error) {
	old, had := b.problems[of]
	switch {
	case err == nil:
		delete(b.problems, of)
	case had:
		b.problems[of] = problem{err, old.since}
	default:
		b.problems[of] = problem{err, time.Now()}
	}
	if had != (err != nil) {
		b.changed()
	}
}

// oldest returns the problem that has lasted longest. mu must be locked.
func (b *Board) oldest() (p problem) {
	for _, other := range b.problems {
		if p.err == nil || other.since.Before(p.since) {
			p = other
		}
	}
	return p
}
