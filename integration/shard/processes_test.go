package shard_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// fleet is the processes of a test, and the messages that they have printed.
type fleet struct {
	t     *testing.T
	group string
	n     int
	procs map[string]*child
	quiet bool          // the shards write nothing
	ttl   time.Duration // default childTTL

	mu       sync.Mutex
	messages []message
}

// child is a process, and the reader of its messages.
type child struct {
	*exec.Cmd
	read sync.WaitGroup
}

// wait waits until all messages are read, and the process has ended.
func (c *child) wait() error {
	c.read.Wait()
	return c.Wait()
}

func (f *fleet) start(id string) {
	f.t.Helper()
	a := args{cluster.Endpoints()[0], f.group, id, f.n, f.quiet, cmp.Or(f.ttl, childTTL)}
	cmd := &child{Cmd: process.Command(context.Background(), a)}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.procs[id] = cmd
	cmd.read.Go(func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			var m message
			if err := json.Unmarshal(in.Bytes(), &m); err != nil {
				continue // the process was killed while it printed
			}
			f.mu.Lock()
			f.messages = append(f.messages, m)
			f.mu.Unlock()
		}
	})
}

// end ends a process with a signal.
func (f *fleet) end(id string, sig syscall.Signal) {
	f.t.Helper()
	cmd := f.procs[id]
	delete(f.procs, id)
	if err := cmd.Process.Signal(sig); err != nil {
		f.t.Error(err)
	}
	if err := cmd.wait(); err != nil && sig != syscall.SIGKILL {
		f.t.Errorf("%s: %v", id, err)
	}
}

// kill kills all processes.
func (f *fleet) kill() {
	for _, cmd := range f.procs {
		_ = cmd.Process.Kill()
		_ = cmd.wait() // it was killed
	}
}

// gaps returns the times between the end of a shard's function and the start of the next one, and
// checks that none is negative. A process that was killed has printed no end.
func (f *fleet) gaps(since time.Time) (gaps []time.Duration) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.messages, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Fence, b.Fence),
			cmp.Compare(a.At, b.At))
	})
	for i := 1; i < len(f.messages); i++ {
		a, b := f.messages[i-1], f.messages[i]
		if a.Shard != b.Shard || a.Start || !b.Start {
			continue
		}
		gap := time.Duration(b.At - a.At)
		if gap < 0 {
			f.t.Errorf("shard %d: fence %d began %v before fence %d ended", a.Shard, b.Fence, -gap, a.Fence)
		}
		if a.At > since.UnixNano() {
			gaps = append(gaps, gap)
		}
	}
	slices.Sort(gaps)
	return gaps
}

// overlaps checks the log of each shard: after a write of an owner, no earlier owner has written.
// It returns the number of writes.
func overlaps(
	ctx context.Context, t *testing.T, c *gateway.Client, group string, from int64,
) (writes int) {
	t.Helper()
	end, err := c.Put(ctx, group+"-log/", nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(ctx, group+"-log/", gateway.Prefix(), gateway.AtRevision(from))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	last := map[string]int64{}
	for ev, err := range w.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if ev.KV.ModRevision == end.Revision {
			return writes
		}
		fence, err := strconv.ParseInt(string(ev.KV.Value), 10, 64)
		if err != nil || fence < last[ev.KV.Key] {
			t.Errorf("%s: %q after fence %d", ev.KV.Key, ev.KV.Value, last[ev.KV.Key])
		}
		last[ev.KV.Key] = fence
		writes++
	}
	t.Error("the watch has ended")
	return writes
}

// TestProcesses: through a death, a join and a planned leave, no shard has two owners, and each has
// one in the end.
func TestProcesses(t *testing.T) {
	t.Parallel()
	const n = 32
	f := &fleet{t: t, group: fresh(t), n: n, procs: map[string]*child{}}
	c := cluster.NewClient(t, gateway.Config{})
	ctx := within(t, time.Minute)
	began, err := c.Put(ctx, f.group+"-log/", []byte("0"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.kill()
	for i := range 4 {
		f.start(fmt.Sprintf("m%d", i))
	}
	owners(t, c, f.group, n, "m0", "m1", "m2", "m3")

	at := time.Now()
	f.end("m1", syscall.SIGKILL)
	before := owners(t, c, f.group, n, "m0", "m2", "m3")
	figure(t, "all shards of a killed process were held %v later, TTL %v", time.Since(at), childTTL)

	f.start("m4")
	after := owners(t, c, f.group, n, "m0", "m2", "m3", "m4")
	if moves := moved(before, after); moves > (n+3)/4 {
		t.Errorf("%d of %d shards have moved at a join to four members", moves, n)
	}

	at = time.Now()
	f.end("m2", syscall.SIGTERM)
	owners(t, c, f.group, n, "m0", "m3", "m4")
	gaps := f.gaps(at)
	if len(gaps) < n/4 {
		t.Errorf("only %d shards were handed over", len(gaps))
	} else {
		figure(t, "%d shards handed over: gaps median %v, max %v", len(gaps), gaps[len(gaps)/2],
			gaps[len(gaps)-1])
	}
	for _, id := range []string{"m0", "m3", "m4"} {
		f.end(id, syscall.SIGTERM)
	}
	f.gaps(at)
	figure(t, "%d guarded writes", overlaps(ctx, t, c, f.group, began.Revision))
}
