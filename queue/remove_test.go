package queue_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
)

func put(t *testing.T, q *queue.Queue, value string, opts *queue.EnqueueOptions) (id string) {
	t.Helper()
	id, err := q.Enqueue(t.Context(), []byte(value), opts)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRemove: an item is removed with all its keys when it is ready, delayed or dead, and not when
// a consumer has it.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		remove := func(id string, want error) {
			t.Helper()
			if err := q.Remove(t.Context(), id); !errors.Is(err, want) {
				t.Errorf("%v, not %v", err, want)
			}
		}
		dead := put(t, q, "dead", nil)
		if err := receive(t, q, "dead", 1).Reject(t.Context(), "bad"); err != nil {
			t.Fatal(err)
		}
		delayed := put(t, q, "delayed", &queue.EnqueueOptions{Delay: time.Hour})
		ready := put(t, q, "ready", nil)
		if err := receive(t, q, "ready", 1).Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, q, "ready", 2).Requeue(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := receive(t, q, "ready", 2)
		remove(ready, queue.ErrClaimed)
		if err := m.Nack(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{dead, delayed, ready} {
			remove(id, nil)
			remove(id, queue.ErrNoItem)
		}
		acked := put(t, q, "acked", nil)
		ack(t, receive(t, q, "acked", 1))
		remove(acked, queue.ErrNoItem)
		remove("", gateway.ErrInvalid)
		remove("a/b", gateway.ErrInvalid)
		err := queue.New(nil, "jobs", nil).Remove(t.Context(), ready)
		if !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("Remove without a session = %v", err)
		}
		if got := server.Keys("jobs//"); len(got) != 1 {
			t.Errorf("left are %q", got)
		}
		if m, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// TestRemoveOfAGroup: the next item of the group has its turn, whether the first one waits for a
// retry or not.
func TestRemoveOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", nil)
		group := &queue.EnqueueOptions{Group: "g"}
		var ids []string
		for _, value := range []string{"a", "b", "c"} {
			ids = append(ids, put(t, q, value, group))
		}
		if err := receive(t, q, "a", 1).Nack(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids[:2] {
			if err := q.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		ack(t, receive(t, q, "c", 1))
		if got := server.Keys("jobs//"); len(got) != 1 {
			t.Errorf("left are %q", got)
		}
	})
}

// TestRemoveMakesRoom: an enqueue that waits for room goes on, and there is room for no more.
func TestRemoveMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakeetcd.Start(t)
		q := queue.New(open(t, server.Client(t)), "jobs", &queue.Options{MaxLength: 2})
		id := put(t, q, "a", nil)
		put(t, q, "b", nil)
		go func() {
			time.Sleep(time.Second)
			if err := q.Remove(t.Context(), id); err != nil {
				t.Error(err)
			}
		}()
		put(t, q, "c", nil)
		now := &queue.EnqueueOptions{NoWait: true}
		if _, err := q.Enqueue(t.Context(), nil, now); !errors.Is(err, queue.ErrFull) {
			t.Error(err)
		}
	})
}

// TestRemoveFindsAnItemThatMoves: Remove finds a delayed item that takes its place at the end of
// the queue while Remove reads, and an item behind several pages of others.
func TestRemoveFindsAnItemThatMoves(t *testing.T) {
	for _, when := range []string{"after the read", "after the search", "never"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := fakeetcd.Start(t)
				q := queue.New(open(t, server.Client(t)), "jobs", nil)
				other := queue.New(open(t, server.Client(t)), "jobs", nil)
				fill(t, q, slices.Repeat([]string{"an item"}, 1200)...)
				opts := &queue.EnqueueOptions{Delay: time.Second}
				if when == "never" {
					opts = nil
				}
				id := put(t, q, "the item", opts)
				time.Sleep(time.Minute)
				moved := false
				server.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
					first := c.IsTxn("jobs//x/" + id)
					last := c.IsTxn("jobs//d/") && c.IsTxn(id)
					if moved || (when != "after the read" || !first) &&
						(when != "after the search" || !last) {
						return c.Apply()
					}
					moved = true
					var answer fakeetcd.Answer
					if first {
						answer = c.Apply()
					}
					done := make(chan struct{})
					go func() {
						defer close(done)
						ack(t, receive(t, other, "an item", 1)) // which moves what is due
					}()
					c.Sleep(500 * time.Millisecond)
					<-done
					if !first {
						answer = c.Apply()
					}
					return answer
				})
				if err := q.Remove(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				if moved == (when == "never") {
					t.Error("moved:", moved)
				}
				st, err := q.Stats(t.Context())
				if want := int64(1200); err != nil || st.Delayed != 0 || when == "never" &&
					st.Ready != want || when != "never" && st.Ready != want-1 {
					t.Errorf("%+v, %v", st, err)
				}
			})
		})
	}
}
