package queue_test

import (
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// TestClaimWithoutItsLease: a claim that is put again without its lease is lost, and another consumer gets the item.
func TestClaimWithoutItsLease(t *testing.T) {
	name, s := fresh(t), plain(t)
	q := queue.New(s, name, nil)
	enqueue(t, q, nil, "x")
	m := receive(t, q, "x", 1)
	if _, err := s.Client().Put(within(t, patience), m.Key(), nil); err != nil {
		t.Fatal(err)
	}
	ack(t, receive(t, queue.New(plain(t), name, nil), "x", 2))
	if err := m.Err(); !errors.Is(err, session.ErrRemoved) {
		t.Errorf("Err = %v", err)
	}
	if err := m.Ack(within(t, patience)); !errors.Is(err, session.ErrNotHeld) {
		t.Errorf("Ack = %v", err)
	}
}
