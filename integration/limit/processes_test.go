package limit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

// taker is a process that takes tokens.
var taker = reexec.Register("taker", take)

const (
	perSecond = 200
	burstSize = 20
	blockSize = 10
)

// fullVar asks for the full size of the tests: 20 processes for a minute.
const fullVar = "HOLDFAST_LIMIT_FULL"

// sized returns the size of a test.
func sized[T any](short, full T) T {
	if os.Getenv(fullVar) == "" {
		return short
	}
	return full
}

// take takes tokens until its standard input ends, and writes the time of each. Its argument is the
// endpoint, the name, and whether the limit is strict.
func take(arg string) int {
	args := strings.Fields(arg)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	c, err := gateway.New(gateway.Config{Endpoints: args[:1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = session.Run(ctx, c, &session.Options{TTL: 2 * time.Second, AllowShortTTL: true},
		func(ctx context.Context, s *session.Session) error {
			l := limit.New(s, args[1], limit.Rate{Tokens: perSecond, Per: time.Second, Burst: burstSize},
				&limit.Options{Block: blockSize, Strict: args[2] == "true"})
			for {
				if err := l.Wait(ctx, 1); err != nil {
					return err
				}
				_, _ = fmt.Println(time.Now().UnixNano())
			}
		})
	return 0
}

// TestProcesses: while processes are killed, all together never take more than the limit, strictly,
// or and a block for each process that was killed.
func TestProcesses(t *testing.T) {
	t.Parallel()
	processes, length := sized(5, 20), sized(6*time.Second, time.Minute)
	for _, strict := range []bool{true, false} {
		t.Run(strconv.FormatBool(strict), func(t *testing.T) {
			g := &group{t: t, arg: fmt.Sprint(cluster.Endpoints()[0], " ", fresh(t), " ", strict)}
			t.Cleanup(g.end)
			begun := time.Now()
			for range processes {
				g.start()
			}
			kills := 0
			for time.Since(begun) < length {
				time.Sleep(length / time.Duration(processes)) //nolint:forbidigo // the load of the test
				g.kill(rand.IntN(processes))
				kills++
				g.start()
			}
			g.end()
			took := time.Since(begun)
			more := 0
			if !strict {
				more = kills * blockSize
			}
			most := burstSize + int(took.Seconds()*perSecond)
			figure(t, "strict %v: %d tokens in %v by %d processes, %d killed; the limit is %d",
				strict, len(g.times), took.Round(time.Millisecond), processes, kills, most)
			if len(g.times) < most/10 {
				t.Errorf("%d tokens", len(g.times))
			}
			neverOver(t, g.times, begun, burstSize+more)
		})
	}
}

// neverOver: at the time of each token, no more were taken than a burst, and the rate since begun.
func neverOver(t *testing.T, times []int64, begun time.Time, burst int) {
	t.Helper()
	slices.Sort(times)
	for i, at := range times {
		passed := time.Duration(at - begun.UnixNano())
		if most := burst + int(passed.Seconds()*perSecond); i+1 > most {
			t.Fatalf("%d tokens after %v, %d are allowed", i+1, passed, most)
		}
	}
}

// TestManyGoroutines of a process take no more than the limit.
func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	for _, opts := range []*limit.Options{{Block: blockSize}, {Block: 1}, {Strict: true}} {
		s := newSession(t, newClient(t, gateway.Config{}), nil)
		rate := limit.Rate{Tokens: perSecond, Per: time.Second, Burst: burstSize}
		l := limit.New(s, fresh(t), rate, opts)
		begun := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), sized(time.Second, 10*time.Second))
		var of sync.WaitGroup
		var mu sync.Mutex
		var times []int64
		for i := range 16 {
			of.Go(func() {
				for l.Wait(ctx, int64(i%3+1)) == nil {
					at := time.Now().UnixNano()
					mu.Lock()
					times = append(times, slices.Repeat([]int64{at}, i%3+1)...)
					mu.Unlock()
				}
			})
		}
		of.Wait()
		stop()
		if len(times) < burstSize {
			t.Errorf("%d tokens", len(times))
		}
		neverOver(t, times, begun, burstSize)
	}
}

// TestKilledProcess: the block of a process that is killed goes back when etcd ends its lease.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	const burst, block, ttl = 100, 40, 2 * time.Second
	name := fresh(t)
	proc := holder.Command(t.Context(), cluster.Endpoints()[0]+" "+name)
	in, err := proc.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := proc.StdoutPipe()
	if err == nil {
		err = proc.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Error(err)
	}
	l := limit.New(newSession(t, newClient(t, gateway.Config{}), nil), name, slow(burst), nil)
	n := allowed(t, l)
	if n != burst-block {
		t.Errorf("%d tokens beside the block", n)
	}
	_ = proc.Process.Kill()
	_ = proc.Wait()
	killed := time.Now()
	eventually(t, "the block", func() bool { n += allowed(t, l); return n >= burst })
	took := time.Since(killed)
	figure(t, "the block of a killed process is back after %v; its TTL was %v",
		took.Round(time.Millisecond), ttl)
	if n != burst {
		t.Errorf("%d tokens", n)
	}
}

// holder is a process that takes a block, prints a line, and waits.
var holder = reexec.Register("holder", func(arg string) int {
	endpoint, name, _ := strings.Cut(arg, " ")
	c, err := gateway.New(gateway.Config{Endpoints: []string{endpoint}})
	if err == nil {
		opts := &session.Options{TTL: 2 * time.Second, AllowShortTTL: true}
		err = session.Run(context.Background(), c, opts,
			func(ctx context.Context, s *session.Session) error {
				ok, err := limit.New(s, name, slow(100), &limit.Options{Block: 40}).Allow(ctx, 1)
				fmt.Println(ok, err)
				_, _ = io.Copy(io.Discard, os.Stdin)
				return err
			})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
})

// group is the processes of a test.
type group struct {
	t       *testing.T
	arg     string
	procs   []*exec.Cmd
	ins     []io.Closer
	readers sync.WaitGroup

	mu    sync.Mutex
	times []int64 // of the tokens
}

func (g *group) start() {
	g.t.Helper()
	cmd := taker.Command(context.Background(), g.arg)
	in, err := cmd.StdinPipe() // a process ends when its standard input does
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.procs, g.ins = append(g.procs, cmd), append(g.ins, in)
	g.readers.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			at, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				continue // of a process that was killed
			}
			g.mu.Lock()
			g.times = append(g.times, at)
			g.mu.Unlock()
		}
	})
}

func (g *group) kill(i int) {
	_ = g.procs[i].Process.Kill()
	_ = g.ins[i].Close()
	_ = g.procs[i].Wait()
	g.procs = append(g.procs[:i], g.procs[i+1:]...)
	g.ins = append(g.ins[:i], g.ins[i+1:]...)
}

func (g *group) end() {
	for len(g.procs) > 0 {
		g.kill(0)
	}
	g.readers.Wait()
}

// TestManyTakes: a process takes many tokens with few requests.
func TestManyTakes(t *testing.T) {
	t.Parallel()
	s := newSession(t, newClient(t, gateway.Config{}), nil)
	name, length := fresh(t), sized(time.Second, 10*time.Second)
	l := limit.New(s, name, limit.Rate{Tokens: 1_000_000, Per: time.Second}, nil)
	ctx := within(t, time.Minute)
	begun, n := time.Now(), 0
	for ; n%1000 > 0 || time.Since(begun) < length; n++ {
		if err := l.Wait(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(begun)
	resp, err := s.Client().Get(within(t, time.Minute), name+"//bucket")
	if err != nil {
		t.Fatal(err)
	}
	writes := resp.KVs[0].Version
	figure(t, "%.0f takes/s, %.1f writes/s", float64(n)/took.Seconds(), float64(writes)/took.Seconds())
	if writes > 2+int64(took.Seconds()*10) {
		t.Errorf("%d writes in %v", writes, took)
	}
}
