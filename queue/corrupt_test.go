package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/fakeetcd"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// counted counts the calls of the script. One that spins is slowed down, so that the time of the
// bubble goes on.
func counted(etcd *fakeetcd.Server, answer func(*fakeetcd.Call) fakeetcd.Answer) *atomic.Int64 {
	calls := new(atomic.Int64)
	etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
		if calls.Add(1) > 1000 {
			c.Sleep(time.Minute)
		}
		return answer(c)
	})
	return calls
}

func apply(c *fakeetcd.Call) fakeetcd.Answer { return c.Apply() }

// TestCorruptKeys: a key of a queue that holds what this library does not write is an error that
// names the key, at once. It costs a few requests, and the key stays.
func TestCorruptKeys(t *testing.T) {
	t.Parallel()
	enqueue := func(ctx context.Context, q *queue.Queue) error {
		_, err := q.Enqueue(ctx, nil, &queue.EnqueueOptions{DedupID: "a"})
		return err
	}
	tail := map[string]func(ctx context.Context, q *queue.Queue) error{
		"Enqueue": enqueue,
		"Enqueue NoWait": func(ctx context.Context, q *queue.Queue) error {
			_, err := q.Enqueue(ctx, nil, &queue.EnqueueOptions{NoWait: true})
			return err
		},
		"EnqueueAll": func(ctx context.Context, q *queue.Queue) error {
			_, err := q.EnqueueAll(ctx, make([][]byte, 250), nil)
			return err
		},
		"Receive": func(ctx context.Context, q *queue.Queue) error {
			_, err := q.Receive(ctx)
			return err
		},
		"Redrive": func(ctx context.Context, q *queue.Queue) error {
			_, err := q.Redrive(ctx)
			return err
		},
		"Stats": func(ctx context.Context, q *queue.Queue) error {
			_, err := q.Stats(ctx)
			return err
		},
	}
	for _, k := range []struct {
		key    string
		values []string
		verbs  map[string]func(ctx context.Context, q *queue.Queue) error
	}{
		{"jobs//tail", []string{
			"", " ", "garbage", "0", "-3", "3.0", `{"next":3}`, "\xff",
			"9999999999999900", "9223372036854775807", "99999999999999999999",
			"3 ", "3 x", "3 -1", "3 -", "3 1 0", "3 1 11", "3 1 1 1", "3 99999999999999999999",
		}, tail},
		{"jobs//u/a", []string{
			"", " ", "garbage!", "a/b", `{"id":"a"}`, "\xff\x00", strings.Repeat("9", 65),
		}, map[string]func(ctx context.Context, q *queue.Queue) error{"Enqueue": enqueue}},
	} {
		for _, value := range k.values {
			for verb, call := range k.verbs {
				for _, opts := range []*queue.Options{nil, {MaxLength: 1000}} {
					synctest.Test(t, func(t *testing.T) {
						etcd := fakeetcd.Start(t)
						q := queue.New(open(t, etcd.Client(t)), "jobs", opts)
						etcd.Put(k.key, value)
						etcd.Put("jobs//d/000000000000001/a", `{"id":"a"}`+"\nvalue") // is due
						etcd.Put("jobs//x/b", `{"id":"b"}`+"\nvalue")
						calls := counted(etcd, apply)
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						defer cancel()
						err := call(ctx, q)
						if !errors.Is(err, session.ErrCorrupt) || !strings.Contains(err.Error(), k.key) ||
							calls.Load() > 10 {
							t.Errorf("%s with %s of %q = %v after %d requests", verb, k.key, value, err, calls.Load())
						}
						if kv, ok := etcd.Get(k.key); !ok || string(kv.Value) != value {
							t.Errorf("%s with %s of %q: the key has changed", verb, k.key, value)
						}
						if keys := etcd.Keys("jobs//q/"); len(keys) > 0 {
							t.Errorf("%s with %s of %q has put %q", verb, k.key, value, keys)
						}
					})
				}
			}
		}
	}
}

// TestCorruptDedupAmongOthers: of items that several callers add together, those of others are
// added.
func TestCorruptDedupAmongOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		etcd.Put("jobs//u/bad", "")
		errs := make(chan error)
		for i := range 9 {
			opts := &queue.EnqueueOptions{DedupID: fmt.Sprint(i)}
			if i == 5 {
				opts.DedupID = "bad"
			}
			go func() { _, err := q.Enqueue(t.Context(), nil, opts); errs <- err }()
		}
		bad := 0
		for range 9 {
			if err := <-errs; errors.Is(err, session.ErrCorrupt) {
				bad++
			} else if err != nil {
				t.Error(err)
			}
		}
		if n := len(etcd.Keys("jobs//q/")); bad != 1 || n != 8 {
			t.Errorf("%d corrupt, %d items", bad, n)
		}
	})
}

// TestLastNumbers: numbers go on up to the last of which places sort, and not beyond it.
func TestLastNumbers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		etcd.Put("jobs//tail", "9999999999999890")
		ids, err := q.EnqueueAll(t.Context(), make([][]byte, 300), nil)
		if len(ids) != 100 || !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("%d added, then %v", len(ids), err)
		}
		for range ids {
			m, err := q.TryReceive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ack(t, m)
		}
	})
}

// TestPausedByAnything: the key of a pause has no value. One with any value pauses, and Resume
// deletes it.
func TestPausedByAnything(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "false", "0", `{"paused":false}`, "99999999999999999999", "\xff",
	} {
		synctest.Test(t, func(t *testing.T) {
			etcd := fakeetcd.Start(t)
			q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
			fill(t, q, "a")
			etcd.Put("jobs//paused", value)
			calls := counted(etcd, apply)
			if _, err := q.TryReceive(t.Context()); !errors.Is(err, queue.ErrEmpty) {
				t.Errorf("TryReceive = %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, err := q.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) || calls.Load() > 20 {
				t.Errorf("Receive = %v after %d requests", err, calls.Load())
			}
			if stats, err := q.Stats(t.Context()); err != nil || !stats.Paused {
				t.Errorf("%+v, %v", stats, err)
			}
			if err := q.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			m, err := q.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ack(t, m)
		})
	}
}

// TestTailThatAlwaysMoves: where another program moves the tail before each try, the tries pause.
func TestTailThatAlwaysMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		calls := counted(etcd, func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.IsTxn("jobs//tail") {
				etcd.Put("jobs//tail", "7")
			}
			return c.Apply()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := q.EnqueueAll(ctx, make([][]byte, 3), nil)
		if !errors.Is(err, context.DeadlineExceeded) || calls.Load() > 250 {
			t.Errorf("EnqueueAll = %v after %d requests", err, calls.Load())
		}
		counted(etcd, apply)
		if _, err := q.Enqueue(t.Context(), nil, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestDeadLettersRefused: a read that fails is the last pair, and the error of Redrive.
func TestDeadLettersRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		etcd := fakeetcd.Start(t)
		q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
		etcd.Script(func(c *fakeetcd.Call) fakeetcd.Answer {
			if c.Path == "/kv/range" {
				return fakeetcd.Denied()
			}
			return c.Apply()
		})
		var last error
		for _, err := range q.DeadLetters(t.Context()) {
			last = err
		}
		if _, err := q.Redrive(t.Context()); !errors.Is(last, gateway.ErrPermissionDenied) ||
			!errors.Is(err, gateway.ErrPermissionDenied) {
			t.Errorf("DeadLetters %v, Redrive %v", last, err)
		}
	})
}

// TestDeadLettersWithoutEnd: a server that says that there are more dead letters, and shows none or
// those of before, is not asked for ever.
func TestDeadLettersWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]bool{"none": true, "the same": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				etcd := fakeetcd.Start(t)
				q := queue.New(open(t, etcd.Client(t)), "jobs", nil)
				etcd.Put("jobs//x/b", `{"id":"b"}`+"\nvalue")
				var first fakeetcd.Answer
				calls := counted(etcd, func(c *fakeetcd.Call) fakeetcd.Answer {
					a := c.Apply()
					if c.Path != "/kv/range" {
						return a
					}
					if first.Status == 0 {
						first = a
						first.Body = append([]byte(`{"more":true,`), a.Body[1:]...)
					}
					if empty {
						body := `{"header":{"cluster_id":"1","revision":"9"},"more":true}`
						return fakeetcd.Answer{Status: a.Status, Body: []byte(body)}
					}
					return first
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				n := 0
				var last error
				for _, err := range q.DeadLetters(ctx) {
					if last = err; err == nil {
						n++
					}
				}
				if !errors.Is(last, gateway.ErrProtocol) || n > 1 || calls.Load() > 10 {
					t.Errorf("DeadLetters: %d, %v after %d requests", n, last, calls.Load())
				}
				if _, err := q.Redrive(ctx, "other"); !errors.Is(err, gateway.ErrProtocol) ||
					calls.Load() > 20 {
					t.Errorf("Redrive = %v after %d requests", err, calls.Load())
				}
			})
		})
	}
}
