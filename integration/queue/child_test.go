package queue_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/queue"
	"github.com/holdfast-go/holdfast/session"
)

// The processes of the tests with several processes.
var (
	producerProcess = reexec.Register("producer", func(p party) int { return p.run(p.produce) })
	consumerProcess = reexec.Register("consumer", func(p party) int { return p.run(p.consumeAll) })
	endlessProcess  = reexec.Register("endless", func(p party) int { return p.run(p.produceOn) })
)

// party is a producer or a consumer.
type party struct {
	Endpoint, Name string
	Self           string // its number in its role
	Count          int    // of items to produce
	TTL            time.Duration
}

// childTTL is how long the items of a killed consumer are claimed.
const childTTL = 5 * time.Second

// start runs a child, which ends when the test does.
func start(tb testing.TB, role reexec.Child[party], p party) *exec.Cmd {
	tb.Helper()
	cmd := role.Command(context.Background(), p)
	in, err := cmd.StdinPipe() // a child ends when its standard input does
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// run runs a role until it ends or the standard input does.
func (p party) run(role func(context.Context, *session.Session) error) int {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	c, err := gateway.New(gateway.Config{Endpoints: []string{p.Endpoint}})
	if err == nil {
		err = session.Run(ctx, c, &session.Options{TTL: cmp.Or(p.TTL, childTTL)}, role)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, p.Self, err)
		return 1
	}
	return 0
}

// produced is how far a producer got before its session was lost, which happens only if the machine
// stalls.
var produced atomic.Int64

// produce enqueues "<self>/0" and so on, from 4 goroutines that each keep an order of their own:
// "<self>.<goroutine>".
func (p party) produce(ctx context.Context, s *session.Session) error {
	const streams = 4
	if produced.Add(1) > 1 {
		return errors.New("a producer lost its session: what it was doing is not known")
	}
	q := queue.New(s, p.Name, nil)
	errs := make([]error, streams)
	var all sync.WaitGroup
	for g := range streams {
		all.Go(func() {
			for i := g; i < p.Count; i += streams {
				value := fmt.Sprintf("%s.%d/%d", p.Self, g, i)
				if _, errs[g] = q.Enqueue(ctx, []byte(value),
					&queue.EnqueueOptions{Priority: g % 2}); errs[g] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// produceOn enqueues one item after the other until the process ends.
func (p party) produceOn(ctx context.Context, s *session.Session) error {
	q := queue.New(s, p.Name, nil)
	for {
		if _, err := q.Enqueue(ctx, []byte(p.Self), nil); err != nil {
			return err
		}
	}
}

// done is the record of an ack.
type done struct {
	Place   string
	Attempt int
}

// consumeAll receives with one goroutine. It records each delivery. In the transaction of the ack
// it records that the item is done, or that it was done before.
func (p party) consumeAll(ctx context.Context, s *session.Session) error {
	name := p.Name
	q := queue.New(s, name, nil)
	last := map[int]string{}
	for m, err := range q.Messages(ctx) {
		if err != nil {
			return err
		}
		place := m.Key()[strings.LastIndex(m.Key(), "//c/")+4:]
		id := string(m.Value)
		if m.Attempt == 1 && place <= last[m.Priority] {
			complain(ctx, s, name, "order", fmt.Sprintf("%s-after-%s", place, last[m.Priority]))
		}
		if m.Attempt == 1 {
			last[m.Priority] = place
		}
		seen := fmt.Sprintf("%s.seen/%s/%d", name, id, m.Attempt)
		resp, err := m.Txn(ctx, gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpCreateRevision(seen, gateway.Equal, 0)},
			Then: []gateway.Op{gateway.OpPut(seen, nil)},
		})
		if errors.Is(err, session.ErrNotHeld) || errors.Is(err, session.ErrLost) {
			continue
		}
		if err != nil {
			return err
		}
		if !resp.Succeeded {
			complain(ctx, s, name, "attempt", fmt.Sprintf("%s/%d", id, m.Attempt))
		}
		value, _ := json.Marshal(done{place, m.Attempt})
		key := name + ".done/" + id
		err = m.AckWith(ctx, gateway.OpTxn(gateway.Txn{
			If:   []gateway.Cmp{gateway.CmpCreateRevision(key, gateway.Equal, 0)},
			Then: []gateway.Op{gateway.OpPut(key, value)},
			Else: []gateway.Op{gateway.OpPut(fmt.Sprintf("%s.bad/twice/%s/%d", name, id, m.Fence()),
				nil)},
		}))
		if err != nil && !errors.Is(err, session.ErrNotHeld) {
			return err
		}
	}
	return nil
}

func complain(ctx context.Context, s *session.Session, name, what, detail string) {
	if _, err := s.Client().Put(ctx, fmt.Sprintf("%s.bad/%s/%s", name, what, detail),
		nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
