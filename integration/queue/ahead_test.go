package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestAMessageClaimedAheadIsReleasedSoon: a message that was claimed for a later Receive is
// released soon if no Receive follows, so that others can receive it. The claim does not count as
// an attempt, of a new item or of one that has been delivered before.
func TestAMessageClaimedAheadIsReleasedSoon(t *testing.T) {
	name := fresh(t)
	a, b := queue.New(plain(t), name, nil), queue.New(plain(t), name, nil)
	c := newClient(t, gateway.Config{})
	version := func(kind string) (n int64) {
		resp, err := c.Get(within(t, patience), name+kind, gateway.Prefix())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range resp.KVs {
			n += kv.Version
		}
		return n
	}
	const tries = 3
	for attempts := range tries {
		enqueue(t, a, nil, "x")
		for i := range attempts {
			if err := receive(t, b, "x", i+1).Nack(within(t, patience), 0); err != nil {
				t.Fatal(err)
			}
			eventually(t, "its return", func() bool { return stats(t, a).Claimed == 0 })
		}
		for range tries {
			enqueue(t, a, &queue.EnqueueOptions{Priority: 1}, "1", "2", "3", "4")
			before := version("//q/")
			eventually(t, "the watch", func() bool { // else x would be claimed first
				items, err := a.Peek(within(t, patience), 1)
				return err == nil && string(items[0].Value) == "1"
			})
			for range 4 {
				m, err := a.Receive(within(t, patience))
				if err != nil {
					t.Fatal(err)
				}
				ack(t, m)
			}
			eventually(t, "the return of what was claimed ahead", func() bool {
				return stats(t, a).Claimed == 0
			})
			if after := version("//q/"); after != before-4 {
				t.Fatalf("%d items, then %d", before, after)
			}
		}
		if attempts > 0 && version("//r/") == 0 {
			t.Error("nothing was claimed ahead")
		}
		ack(t, receive(t, b, "x", attempts+1))
		if n := version("//t/") + version("//r/"); n != 0 {
			t.Errorf("%d counts left behind", n)
		}
	}
}

// TestConsumeReleasesTheMessagesClaimedAhead: when Consume returns, it has released the messages
// that it had claimed and not delivered.
func TestConsumeReleasesTheMessagesClaimedAhead(t *testing.T) {
	const items, each = 400, 40
	name := fresh(t)
	c := newClient(t, gateway.Config{})
	producer := queue.New(newSession(t, c, nil), name, nil)
	if _, err := producer.EnqueueAll(within(t, patience), make([][]byte, items), nil); err != nil {
		t.Fatal(err)
	}
	for left := items; left > 0; left -= each {
		s := newSession(t, c, &session.Options{TTL: time.Minute})
		ctx, stop := context.WithCancel(within(t, patience))
		n := 0
		err := queue.New(s, name, nil).Consume(ctx, 1,
			func(_ context.Context, m *queue.Message) error {
				if m.Attempt != 1 {
					t.Errorf("attempt %d", m.Attempt)
				}
				if n++; n == each {
					stop()
				}
				return nil
			})
		if !errors.Is(err, context.Canceled) || n != each {
			t.Fatalf("%d items: %v", n, err)
		}
		s.Orphan() // else its claims would last for a minute
		if st := stats(t, producer); st.Claimed != 0 || st.Ready != int64(left-each) {
			t.Fatalf("%+v, not %d", st, left-each)
		}
	}
}
