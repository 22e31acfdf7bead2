package limit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
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
	processes = 5
	length    = 6 * time.Second
)

// take takes tokens until its standard input ends, and writes a line for each. Its argument is the
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
				_, _ = os.Stdout.WriteString("token\n")
			}
		})
	return 0
}

// TestProcesses: while processes are killed, all together take no more than the limit, strictly, or
// and a block for each process that was killed.
func TestProcesses(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{true, false} {
		t.Run(strconv.FormatBool(strict), func(t *testing.T) {
			t.Parallel()
			g := &group{t: t, arg: fmt.Sprint(cluster.Endpoints()[0], " ", fresh(t), " ", strict)}
			t.Cleanup(g.end)
			begun := time.Now()
			for range processes {
				g.start()
			}
			kills := 0
			for time.Since(begun) < length {
				time.Sleep(length / 6) //nolint:forbidigo // the load of the test
				g.kill(rand.IntN(processes))
				kills++
				g.start()
			}
			g.end()
			took := time.Since(begun)
			most := burstSize + int(took.Seconds()*perSecond)
			if !strict {
				most += kills * blockSize
			}
			figure(t, "strict %v: %d tokens in %v, %d processes killed; %d are allowed",
				strict, g.tokens, took.Round(time.Millisecond), kills, most)
			if g.tokens > most || g.tokens < most/10 {
				t.Errorf("%d tokens", g.tokens)
			}
		})
	}
}

// group is the processes of a test.
type group struct {
	t       *testing.T
	arg     string
	procs   []*exec.Cmd
	ins     []io.Closer
	readers sync.WaitGroup

	mu     sync.Mutex
	tokens int
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
			g.mu.Lock()
			g.tokens++
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
	const n = 1_000_000
	name := fresh(t)
	l := limit.New(s, name, limit.Rate{Tokens: n, Per: time.Second}, nil)
	ctx := within(t, time.Minute)
	begun := time.Now()
	for range n / 10 {
		if err := l.Wait(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(begun)
	resp, err := s.Client().Get(within(t, time.Minute), name+"//bucket")
	if err != nil || resp.KVs[0].Version > 3 {
		t.Errorf("%v, %v", resp, err)
	}
	figure(t, "%d takes in %v, with %d writes", n/10, took.Round(time.Millisecond), resp.KVs[0].Version)
}
