package cron

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/clock"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/session"
)

// History returns the last ticks that have started, the latest first. The first one may be running;
// it has no Ended then, and an Error if it waits for its next attempt. The times are from the
// clocks of the replicas. It makes one request. Returns [session.ErrCorrupt] when this library did
// not write one of the records.
func (c *Cron) History(ctx context.Context, client *gateway.Client) ([]Record, error) {
	records, err := c.history(ctx, client)
	return records, c.wrap("history", err)
}

func (c *Cron) history(ctx context.Context, client *gateway.Client) (records []Record, _ error) {
	if err := c.checkName(); err != nil {
		return nil, err
	}
	if client == nil {
		return nil, invalid("no client")
	}
	resp, err := client.Txn(ctx, gateway.Txn{Then: []gateway.Op{
		gateway.OpGet(c.key(stateSetting)),
		gateway.OpGet(c.prefix(historySetting), gateway.Prefix()),
	}})
	if err != nil {
		return nil, err
	}
	for _, kv := range resp.Responses[0].Get.KVs {
		st, err := decodeState(kv.Key, string(kv.Value))
		if err != nil {
			return nil, err
		}
		if st.Running != nil {
			records = append(records, st.Running.Record)
		}
	}
	for _, kv := range slices.Backward(resp.Responses[1].Get.KVs) {
		var r Record
		if err := decode(kv.Key, string(kv.Value), &r); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records[:min(len(records), c.opt.History)], nil
}

// checkName returns [gateway.ErrInvalid] for a name that no session may use.
func (c *Cron) checkName() error {
	if c.name == "" || strings.HasSuffix(c.name, "/") || strings.Contains(c.name, "//") {
		return invalid("the name %q", c.name)
	}
	return nil
}

// Pause stops the schedule: no tick of it starts after Pause has returned. A tick that has started
// goes on, with its attempts, and [Cron.Trigger] starts a tick also during a pause. A second Pause
// replaces the reason of the first. Pause makes a session for the call. Returns
// [gateway.ErrInvalid] when the reason is blank or longer than [MaxReason]. After
// [gateway.ErrUncertain] it may be repeated.
func (c *Cron) Pause(ctx context.Context, client *gateway.Client, why string) error {
	return c.wrap("pause", c.operate(ctx, client, why,
		func(s *session.Session, r Request) error { return c.putPause(ctx, s, pause{r, true}) }))
}

// Resume continues the schedule after [Cron.Pause] with the next tick. The ticks of the pause are
// skipped, also with [MissedAll]. Resume returns nil when there was no pause, and skips
// nothing then. It makes a session for the call. After [gateway.ErrUncertain] it may be repeated.
func (c *Cron) Resume(ctx context.Context, client *gateway.Client) error {
	return c.wrap("resume", c.operate(ctx, client, "resumed",
		func(s *session.Session, r Request) error {
			resp, err := client.Get(ctx, c.key(pauseSetting))
			if err != nil || len(resp.KVs) == 0 {
				return err
			}
			var p pause
			if decode(c.key(pauseSetting), string(resp.KVs[0].Value), &p) == nil && !p.Paused {
				return nil
			}
			return c.putPause(ctx, s, pause{r, false})
		}))
}

func (c *Cron) putPause(ctx context.Context, s *session.Session, p pause) error {
	_, err := s.Txn(ctx, gateway.Txn{
		Then: []gateway.Op{gateway.OpPut(c.key(pauseSetting), encode(p))},
	})
	return err
}

// Trigger asks for a tick by hand, which starts as soon as no other tick is running, also during a
// pause. It returns when the request is stored, and does not wait for the tick. The schedule does
// not change. The history has the session that has asked, and the reason. Trigger makes a session
// for the call.
//
// Returns [ErrPending] when an earlier request has not started a tick yet, and
// [gateway.ErrInvalid] when the reason is blank or longer than [MaxReason]. After
// [gateway.ErrUncertain] the tick may start.
func (c *Cron) Trigger(ctx context.Context, client *gateway.Client, why string) error {
	return c.wrap("trigger", c.operate(ctx, client, why,
		func(s *session.Session, r Request) error {
			key := c.key(triggerSetting)
			resp, err := s.Txn(ctx, gateway.Txn{
				If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
				Then: []gateway.Op{gateway.OpPut(key, encode(r))},
			})
			if err == nil && !resp.Succeeded {
				err = ErrPending
			}
			return err
		}))
}

// operate calls do with a session, so that no copy of its write can be applied later.
func (c *Cron) operate(
	ctx context.Context, client *gateway.Client, why string,
	do func(*session.Session, Request) error,
) error {
	if err := c.checkName(); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(why) == "":
		return invalid("no reason")
	case len(why) > MaxReason: // etcd might reject the start of each tick that has it
		return invalid("a reason of %d bytes; %d are possible", len(why), MaxReason)
	}
	s, err := session.New(ctx, client, c.opt.Session)
	if err != nil {
		return err
	}
	err = do(s, Request{By: core.Of(s).Info().String(), Why: why, At: clock.Wall(ctx)})
	// The lease expires if it cannot be revoked.
	closing := s.Close(ctx)
	if errors.Is(err, gateway.ErrUncertain) {
		return errors.Join(err, closing)
	}
	return err
}
