package nospace_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// ending is one way to end a message.
type ending struct {
	name string
	end  func(m *queue.Message, ctx context.Context) error
}

var (
	ack     = ending{"ack", (*queue.Message).Ack}
	ackWith = ending{"ack that deletes", func(m *queue.Message, ctx context.Context) error {
		return m.AckWith(ctx, gateway.OpDelete("done/"+m.ID))
	}}
	nack = ending{"nack", func(m *queue.Message, ctx context.Context) error {
		return m.Nack(ctx, 0)
	}}
	// The endings below put a key, so that a full database refuses them.
	ackPut = ending{"ack that puts", func(m *queue.Message, ctx context.Context) error {
		return m.AckWith(ctx, gateway.OpPut("done/"+m.ID, nil))
	}}
	delay = ending{"nack with a delay", func(m *queue.Message, ctx context.Context) error {
		return m.Nack(ctx, time.Minute)
	}}
	reject = ending{"reject", func(m *queue.Message, ctx context.Context) error {
		return m.Reject(ctx, "bad")
	}}
	requeue = ending{"requeue", (*queue.Message).Requeue}
)

// TestAckAndNackWorkInAFullDatabase checks that Ack and an immediate Nack work while the database
// is full, even if an answer is lost. The endings that put a key are refused, and an Ack or a Nack
// can follow them. No item is claimed while the database is full.
func TestAckAndNackWorkInAFullDatabase(t *testing.T) {
	forEachServer(t, func(t *testing.T, s *server) {
		var scenes []*message
		for _, f := range faults {
			scenes = append(scenes, newMessage(t, s, f, nil, ack),
				newMessage(t, s, f, nil, ackWith),
				newMessage(t, s, f, nil, nack), newMessage(t, s, f, &reject, ack))
		}
		for _, refused := range []*ending{&ackPut, &delay, &reject, &requeue} {
			for _, last := range []ending{ack, nack} {
				for _, cutOff := range []bool{false, true} {
					sc := newMessage(t, s, faults[0], refused, last)
					if sc.cutOff = cutOff; cutOff {
						sc.name += ", the first cut off"
					}
					scenes = append(scenes, sc)
				}
			}
		}
		s.fill(t)
		for _, sc := range scenes {
			t.Run(sc.name, sc.run)
		}
		s.makeSpace(t)
		for _, sc := range scenes {
			t.Run(sc.name+", space again", sc.again)
		}
	})
}

// message is the first of three in a queue, received by a session behind a proxy.
type message struct {
	name    string
	fault   fault   // of the last ending
	refused *ending // called first; puts a key
	cutOff  bool    // the refused ending gets no answer instead of the refusal
	last    ending
	queue   *queue.Queue
	proxy   *faultproxy.HTTPProxy
	msg     *queue.Message
}

func newMessage(t *testing.T, s *server, f fault, refused *ending, last ending) *message {
	t.Helper()
	sc := &message{name: last.name + ", " + f.name, fault: f, refused: refused, last: last}
	if refused != nil {
		sc.name = refused.name + ", then " + sc.name
	}
	session, proxy := s.faulty(t)
	sc.queue, sc.proxy = queue.New(session, fresh(t), nil), proxy
	ctx := within(t, patience)
	values := [][]byte{[]byte("1"), []byte("2"), []byte("3")}
	_, err := sc.queue.EnqueueAll(ctx, values, nil)
	if err == nil {
		sc.msg, err = sc.queue.Receive(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func (sc *message) run(t *testing.T) {
	if sc.refused != nil {
		sc.refuse(t)
	}
	start := time.Now()
	sc.fault.releaseUnder(t, sc.proxy, func(ctx context.Context) error {
		return sc.last.end(sc.msg, ctx)
	})
	want := queue.Stats{Ready: 2}
	if sc.last.name == nack.name {
		want.Ready = 3
	}
	eventually(t, "the end of the claim", func() bool { return sc.stats(t) == want })
	took := time.Since(start)
	if figure(t, "from the call to the end of the claim: %v", took); took > soon {
		t.Errorf("it took %v", took)
	}
	if err := sc.msg.Ack(within(t, soon)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("one ack more: %v", err)
	}
	if _, err := sc.queue.Receive(within(t, soon)); !errors.Is(err, gateway.ErrNoSpace) {
		t.Errorf("Receive: %v", err)
	}
}

// refuse calls the ending that the full database refuses.
func (sc *message) refuse(t *testing.T) {
	t.Helper()
	ctx, want := within(t, soon), gateway.ErrNoSpace
	if sc.cutOff {
		sc.proxy.Add(faultproxy.Rule{Match: transactions, Action: faultproxy.Refuse})
		defer sc.proxy.Clear()
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		want = gateway.ErrUncertain
	}
	if err := sc.refused.end(sc.msg, ctx); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", sc.refused.name, err, want)
	}
}

// stats returns the queue's Stats without the fields that differ from queue to queue.
func (sc *message) stats(t *testing.T) queue.Stats {
	t.Helper()
	stats, err := sc.queue.Stats(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	stats.Revision, stats.Enqueued = 0, 0
	return stats
}

// again receives the items that must be left, in order, and checks that the refused ending had no
// effect.
func (sc *message) again(t *testing.T) {
	want := []string{"2", "3"}
	if sc.last.name == nack.name {
		want = []string{"1", "2", "3"}
	}
	ctx := within(t, patience)
	for _, value := range want {
		m, err := sc.queue.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Value) != value {
			t.Errorf("received %s, want %s", m.Value, value)
		}
		if err := m.Ack(ctx); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "an empty queue", func() bool { return sc.stats(t) == queue.Stats{} })
}
