package shard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/member"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/shard"
)

// childTTL is the time after which the shards of a killed process are free.
const childTTL = 2 * time.Second

// writePause is the pause between the writes of a shard.
const writePause = 100 * time.Millisecond

type args struct {
	Endpoint, Group, ID string
	Shards              int
	Quiet               bool
	TTL                 time.Duration
}

// message is a line that a process prints when the function of a shard starts or ends.
type message struct {
	Shard int
	Start bool
	Fence int64
	At    int64 // nanoseconds since 1970
}

// process is a member that writes a log for each of its shards until it is terminated.
var process = reexec.Register("member", func(a args) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := gateway.New(gateway.Config{Endpoints: []string{a.Endpoint}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	w := writer{args: a, out: json.NewEncoder(os.Stdout)}
	err = shard.Run(ctx, c, a.Group, a.Shards, w.write, &shard.Options{Member: member.Options{
		ID: a.ID, Session: &session.Options{TTL: a.TTL, AllowShortTTL: true},
	}})
	if !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, a.ID, err)
		return 1
	}
	return 0
})

type writer struct {
	args
	mu  sync.Mutex
	out *json.Encoder
}

// write writes the fence of the shard to its log, only while the shard is held.
func (w *writer) write(ctx context.Context, s *shard.Shard) error {
	w.say(s, true)
	defer w.say(s, false)
	if w.Quiet {
		<-ctx.Done()
		return nil
	}
	key := logKey(w.Group, s.Number())
	for {
		put := gateway.OpPut(key, fmt.Appendf(nil, "%d", s.Fence()))
		// Its context is the hold's, so that a write is under way when the shard moves.
		if _, err := s.Txn(s.Context(), gateway.Txn{Then: []gateway.Op{put}}); err != nil {
			return nil // the shard was lost
		}
		select {
		case <-time.After(writePause):
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *writer) say(s *shard.Shard, start bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := message{s.Number(), start, s.Fence(), time.Now().UnixNano()}
	_ = w.out.Encode(m) // it fails when the parent has gone
}

func logKey(group string, shard int) string { return fmt.Sprintf("%s-log/%d", group, shard) }
