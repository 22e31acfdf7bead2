package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// Health is the state of a [Cache] as of its last check.
type Health struct {
	// Revision is the revision of the copy. Latest is the revision of etcd at the last check. If it
	// is greater, the copy is behind by the difference, of which changes of other keys are a part.
	Revision, Latest int64
	// Current is a time up to which the copy has everything that was committed. It is older than
	// [Options.CheckInterval] and the latency of a request only while the copy is behind.
	Current time.Time
	// Err is the reason why the copy cannot be completed or checked, nil if there is none. The
	// cache tries again, except after [ErrTooLarge] and [ErrClosed]. Since is the time of the first
	// of these errors in a row.
	Err   error
	Since time.Time
}

// Health returns whether the copy is up to date, without a request.
func (c *Cache) Health() Health {
	c.health.mu.Lock()
	h := c.health.Health
	c.health.mu.Unlock()
	h.Revision = c.latest.Load().revision
	select {
	case <-c.failed:
		if h.Err == nil { // it ended while all was well
			h.Since = h.Current
		}
		h.Err = c.failure
	default:
	}
	return h
}

type health struct {
	mu sync.Mutex
	Health
	following bool // Err is of the copy, and not of a check
}

// saw records the revision of etcd.
func (h *health) saw(revision int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Latest = max(h.Latest, revision)
}

// confirm records that the copy has everything that was committed before asked.
func (h *health) confirm(revision int64, asked time.Time) {
	h.saw(revision)
	h.mu.Lock()
	defer h.mu.Unlock()
	if asked.After(h.Current) {
		h.Current = asked
	}
	h.Err, h.Since, h.following = nil, time.Time{}, false
}

// fail records an error of the copy, if following, or of a check. The former is the reason for the
// latter.
func (h *health) fail(err error, following bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Err == nil {
		h.Since = time.Now()
	}
	if following || !h.following {
		h.Err, h.following = err, following
	}
}

// errBehind is the error of a check that has not ended when the next is due.
var errBehind = errors.New("the copy is behind")

// check compares the copy with etcd's revision at intervals, until ctx ends.
func (c *Cache) check(ctx context.Context) {
	for wait(ctx, c.opt.CheckInterval); ctx.Err() == nil; wait(ctx, c.opt.CheckInterval) {
		err := c.checkOnce(ctx)
		if errors.Is(err, ErrTooLarge) {
			return
		}
		if err != nil && ctx.Err() == nil {
			c.health.fail(err, false)
		}
	}
}

func (c *Cache) checkOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opt.CheckInterval, errBehind)
	defer cancel()
	asked := time.Now()
	key := c.prefix
	if key == "" {
		key = "\x00"
	}
	resp, err := c.client.Get(ctx, key, gateway.KeysOnly())
	if err != nil {
		return err
	}
	c.health.saw(resp.Revision)
	if err := c.WaitRevision(ctx, resp.Revision); err != nil {
		return err
	}
	c.health.confirm(resp.Revision, asked)
	return nil
}
