package queue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestAClaimIsLostWhenItLosesItsLease: a claim that is put again without its lease is lost, and
// another consumer receives the item.
func TestAClaimIsLostWhenItLosesItsLease(t *testing.T) {
	name, s := fresh(t), plain(t)
	q := queue.New(s, name, nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	if _, err := s.Client().Put(within(t, patience), m.Key(), nil); err != nil {
		t.Fatal(err)
	}
	// A waiting consumer, or the holder's watch of its own key, whichever is first, deletes the
	// claim.
	ack(t, receive(t, queue.New(plain(t), name, nil), "x", 2))
	eventually(t, "the loss", func() bool { return errors.Is(m.Err(), session.ErrKeyDeleted) })
	if err := m.Ack(within(t, patience)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Ack = %v", err)
	}
}

// TestAnItemComesBackThoughItsClaimNeverExpires: a waiting consumer receives the item although the
// claim does not end with its session.
func TestAnItemComesBackThoughItsClaimNeverExpires(t *testing.T) {
	name, dead, s := fresh(t), plain(t), plain(t)
	enqueue(t, queue.New(s, name, nil), nil, "x")
	m := receive(t, queue.New(dead, name, nil), "x", 1)
	got := make(chan *queue.Message, 1)
	go func() {
		next, err := queue.New(s, name, nil).Receive(within(t, patience))
		if err != nil {
			t.Error(err)
		}
		got <- next
	}()
	dead.Orphan()
	if _, err := s.Client().Put(within(t, patience), m.Key(), nil); err != nil {
		t.Fatal(err)
	}
	if next := <-got; next != nil {
		ack(t, next)
	}
}

// TestAProducerPassesATurnWithoutALeaseOnce: a key without a lease in the line of producers delays
// one of them, once.
func TestAProducerPassesATurnWithoutALeaseOnce(t *testing.T) {
	name, s := fresh(t), plain(t)
	q, key := queue.New(s, name, nil), name+"//w/6dd18b3364141523"
	if _, err := s.Client().Put(within(t, patience), key, nil); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q, nil, "x")
	eventually(t, "the end of the key", func() bool {
		got, err := s.Client().Get(within(t, patience), key)
		return err == nil && len(got.KVs) == 0
	})
	ack(t, receive(t, q, "x", 1))
}

// TestACorruptTailIsAnErrorThatNamesIt: a tail that is not the number of an item causes an error
// that names it.
func TestACorruptTailIsAnErrorThatNamesIt(t *testing.T) {
	name, s := fresh(t), plain(t)
	for _, value := range []string{"", "x", "9223372036854775807"} {
		if _, err := s.Client().Put(within(t, patience), name+"//tail", []byte(value)); err != nil {
			t.Fatal(err)
		}
		_, err := queue.New(s, name, nil).Enqueue(within(t, patience), nil, nil)
		if !errors.Is(err, session.ErrCorrupt) || !strings.Contains(err.Error(), name+"//tail") {
			t.Errorf("Enqueue with a tail of %q = %v", value, err)
		}
	}
}
