package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/holdfast-go/holdfast/gateway"
)

// Past is the history of a name as far as etcd still has it.
type Past struct {
	Since  int64 // the revision from which etcd has the history; 0: from the beginning
	Now    int64 // the revision up to which it was read
	Recipe string
	Holds  []Held // in the order in which they began
}

// Held is one hold, or a gap without any.
type Held struct {
	Member
	Free bool  // there was no holder
	From int64 // the revision with which it began, or Since if it began before that
	To   int64 // the revision with which it ended; 0: it has not ended
}

// Read reads the history of a name with one watch from the oldest revision that etcd has. Without a
// report of progress by etcd it ends with ctx, because nothing else shows that the last event has
// arrived. It returns the error of a failed request.
func Read(ctx context.Context, c *gateway.Client, name string) (*Past, error) {
	prefix := name + "/"
	resp, err := c.Get(ctx, prefix, gateway.Prefix(), gateway.CountOnly())
	if err != nil {
		return nil, err
	}
	past := &Past{Now: resp.Revision}
	line := &replay{past: past, place: Place{Name: name, Settings: map[string]string{}}}
	for start := int64(1); ; {
		events, err := eventsUpTo(ctx, c, prefix, start, past.Now)
		compacted, ok := errors.AsType[*gateway.Error](err)
		if ok && errors.Is(err, gateway.ErrCompacted) && compacted.CompactRevision > past.Since {
			past.Since = compacted.CompactRevision
			start = past.Since + 1
			past.Now = max(past.Now, past.Since)
			continue
		}
		if err != nil {
			return nil, err
		}
		if past.Since > 0 {
			base, err := c.Get(ctx, prefix, gateway.Prefix(), gateway.AtRevision(past.Since))
			if err != nil {
				return nil, err
			}
			line.begin(base)
		}
		line.run(events)
		return past, line.names(ctx, c)
	}
}

// eventsUpTo returns the events below a prefix from one revision to another.
func eventsUpTo(
	ctx context.Context, c *gateway.Client, prefix string, from, to int64,
) (events []gateway.Event, err error) {
	if from > to {
		return nil, nil
	}
	done := make(chan error, 1)
	end := func(err error) {
		select {
		case done <- err:
		default:
		}
	}
	var received atomic.Bool
	var got []gateway.Event // belongs to the watch until done
	stop, err := c.WatchFunc(prefix, func(r gateway.WatchResponse) {
		switch {
		case r.Err != nil:
			end(r.Err)
		case r.Created:
			received.Store(true)
			if err := c.RequestProgress(); err != nil {
				end(err)
			}
		case r.Revision >= to && (r.Progress || len(r.Events) > 0):
			got = append(got, r.Events...)
			end(nil)
		default:
			got = append(got, r.Events...)
		}
	}, gateway.Prefix(), gateway.AtRevision(from), gateway.ProgressNotify())
	if err != nil {
		return nil, err
	}
	defer stop()
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, unreported(context.Cause(ctx), received.Load())
	}
	if err != nil {
		return nil, err
	}
	last := slices.IndexFunc(got, func(ev gateway.Event) bool { return ev.KV.ModRevision > to })
	if last >= 0 {
		got = got[:last]
	}
	return got, nil
}

// unreported returns the error of a context that ended before the last event. If etcd had answered,
// the time that was given is not the reason.
func unreported(err error, answered bool) error {
	if !answered {
		return err
	}
	return fmt.Errorf("etcd has not reported the progress of the watch, which needs 3.4.25 or 3.5.8 "+
		"at least, and a proxy that carries a shared stream: %w", err)
}

// replay applies the events of a line again.
type replay struct {
	past  *Past
	place Place
	open  []int // the holds that have not ended, as indexes of past.Holds
}

func (y *replay) begin(base *gateway.GetResponse) {
	for _, kv := range base.KVs {
		y.put(kv)
	}
	y.turn(y.past.Since)
}

// run applies events, all of a revision before the holders are looked at.
func (y *replay) run(events []gateway.Event) {
	for i, ev := range events {
		if ev.Deleted {
			y.remove(ev.KV.Key)
		} else {
			y.put(ev.KV)
		}
		if i+1 == len(events) || events[i+1].KV.ModRevision > ev.KV.ModRevision {
			y.turn(ev.KV.ModRevision)
		}
	}
}

func (y *replay) put(kv gateway.KeyValue) {
	p := &y.place
	if setting, ok := strings.CutPrefix(kv.Key, settingKey(p.Name, "")); ok {
		if slices.Contains(settings, setting) {
			p.Settings[setting] = string(kv.Value)
		}
		return
	}
	if from, to := memberRange(p.Name); kv.Key < from || kv.Key >= to || !isMember(p.Name, kv.Key) {
		return
	}
	m := Member{
		Key: kv.Key, Lease: leaseOf(kv.Key), Under: kv.Lease, Fence: kv.CreateRevision,
		Value: string(kv.Value),
	}
	i := slices.IndexFunc(p.Members, func(o Member) bool { return o.Key == m.Key })
	if i >= 0 {
		p.Members[i] = m
	} else {
		p.Members = append(p.Members, m)
	}
}

func (y *replay) remove(key string) {
	p := &y.place
	if setting, ok := strings.CutPrefix(key, settingKey(p.Name, "")); ok {
		delete(p.Settings, setting)
		return
	}
	p.Members = slices.DeleteFunc(p.Members, func(m Member) bool { return m.Key == key })
}

// turn ends the holds that are over at a revision, and begins the new ones.
func (y *replay) turn(revision int64) {
	p := &y.place
	p.arrange()
	if len(p.Members) > 0 {
		y.past.Recipe = p.Recipe
	}
	holds := func(h Held) bool {
		return slices.ContainsFunc(p.Members, func(m Member) bool {
			return m.Holds && m.Key == h.Key && m.Fence == h.Fence
		})
	}
	held := slices.ContainsFunc(p.Members, func(m Member) bool { return m.Holds })
	y.open = slices.DeleteFunc(y.open, func(i int) bool {
		h := &y.past.Holds[i]
		over := h.Free && held || !h.Free && !holds(*h)
		if over {
			h.To = revision
		}
		return over
	})
	begin := func(h Held) {
		h.From = revision
		y.open = append(y.open, len(y.past.Holds))
		y.past.Holds = append(y.past.Holds, h)
	}
	for _, m := range p.Members {
		known := slices.ContainsFunc(y.open, func(i int) bool {
			h := y.past.Holds[i]
			return h.Key == m.Key && h.Fence == m.Fence
		})
		if m.Holds && !known {
			begin(Held{Member: m})
		}
	}
	if !held && len(y.past.Holds) > 0 && len(y.open) == 0 {
		begin(Held{Free: true})
	}
}

// names reads the session record of each hold as it was when the hold began.
func (y *replay) names(ctx context.Context, c *gateway.Client) error {
	for part := range slices.Chunk(y.past.Holds, keysAtOnce) {
		var t gateway.Txn
		for i := range part {
			at := max(part[i].From, 1)
			t.Then = append(t.Then, gateway.OpGet(recordKey(part[i].Lease), gateway.AtRevision(at)))
		}
		resp, err := c.Txn(ctx, t)
		switch {
		case errors.Is(err, gateway.ErrPermissionDenied), errors.Is(err, gateway.ErrCompacted):
			continue // the holds are shown without names
		case err != nil:
			return err
		}
		for i := range part {
			found := map[string]gateway.KeyValue{}
			for _, kv := range resp.Responses[i].Get.KVs {
				found[kv.Key] = kv
			}
			part[i].Session = infoOf(found, part[i].Lease)
		}
	}
	return nil
}
