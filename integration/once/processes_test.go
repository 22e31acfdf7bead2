package once_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/once"
	"github.com/holdfast-go/holdfast/session"
)

// callers is a process of callers.
var callers = reexec.Register("callers", child)

// roundsVar is the number of rounds of the test.
const roundsVar = "HOLDFAST_ONCE_ROUNDS"

const (
	processes = 10
	onces     = 4  // of a process
	perOnce   = 25 // callers of one Once
	maxWork   = 300 * time.Millisecond
	// childTTL is the time after which a killed runner is replaced.
	childTTL = 2 * time.Second
)

// message is a line that a process prints: it is ready, runs the function, or all its calls of a
// name have returned.
type message struct {
	PID    int
	Ready  bool            `json:",omitempty"`
	Runs   int             `json:",omitempty"` // the attempt
	Values map[string]int  `json:",omitempty"` // the results, and how many calls have them
	Waited []time.Duration `json:",omitempty"` // since the runner sent the result
	Error  string          `json:",omitempty"`
}

// child calls Do for each name that it reads, until its standard input ends.
func child(endpoint string) int {
	ctx := context.Background()
	c, err := gateway.New(gateway.Config{Endpoints: []string{endpoint}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := session.New(ctx, c, &session.Options{TTL: childTTL, AllowShortTTL: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(m message) {
		mu.Lock()
		defer mu.Unlock()
		m.PID = os.Getpid()
		_ = out.Encode(m) // the parent has gone if it fails
	}
	say(message{Ready: true})
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		say(callAll(ctx, s, in.Text(), say))
	}
	return 0
}

// callAll makes all calls of a process for one name.
func callAll(ctx context.Context, s *session.Session, name string, say func(message)) message {
	var mu sync.Mutex
	m := message{Values: map[string]int{}}
	run := func(ctx context.Context, run *once.Run) ([]byte, error) {
		say(message{Runs: run.Attempt()})
		select { // the work
		case <-time.After(rand.N(maxWork)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		sent := strconv.FormatInt(time.Now().UnixNano(), 10)
		return nil, run.Complete(ctx, []byte(sent), gateway.OpPut(name+"-done", []byte(sent)))
	}
	var all sync.WaitGroup
	for range onces {
		o := once.New(s, name, nil)
		for range perOnce {
			all.Go(func() {
				res, err := o.Do(ctx, run)
				now := time.Now().UnixNano()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					m.Error = err.Error()
					return
				}
				m.Values[string(res.Value)]++
				if sent, err := strconv.ParseInt(string(res.Value), 10, 64); err == nil && !res.Ran {
					m.Waited = append(m.Waited, time.Duration(now-sent))
				}
			})
		}
	}
	all.Wait()
	return m
}

// process is a process of callers.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// group is the processes of a test.
type group struct {
	t        *testing.T
	procs    map[int]*process
	messages chan message
	readers  sync.WaitGroup
}

func (g *group) start() {
	g.t.Helper()
	p := &process{cmd: callers.Command(context.Background(), cluster.Endpoints()[0])}
	in, err := p.cmd.StdinPipe() // a process ends when its standard input does
	if err != nil {
		g.t.Fatal(err)
	}
	p.in = in
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.procs[p.cmd.Process.Pid] = p
	g.readers.Go(func() {
		for d := json.NewDecoder(out); ; {
			var m message
			if err := d.Decode(&m); err != nil {
				return // killed
			}
			g.messages <- m
		}
	})
}

func (g *group) kill(pid int) {
	p := g.procs[pid]
	delete(g.procs, pid)
	_ = p.cmd.Process.Kill()
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// next returns the next message.
func (g *group) next() message {
	g.t.Helper()
	select {
	case m := <-g.messages:
		return m
	case <-time.After(time.Minute):
		g.t.Fatal("a call hangs")
	}
	return message{}
}

// round has all processes call a name. It kills the process that runs the function, kills times, at
// a random time after the start. It returns how long the callers waited.
func (g *group) round(name string, kills int) (waited []time.Duration, killed int) {
	g.t.Helper()
	for ready := len(g.procs); ready < processes; ready++ {
		g.start()
		for !g.next().Ready {
		}
	}
	for _, p := range g.procs {
		if _, err := io.WriteString(p.in, name+"\n"); err != nil {
			g.t.Fatal(err)
		}
	}
	values := map[string]int{}
	toKill := make(chan int, 1)
	done := map[int]bool{}
	for len(done) < len(g.procs) {
		select {
		case pid := <-toKill:
			if _, ok := g.procs[pid]; ok && !done[pid] {
				g.kill(pid)
				killed++
			}
			continue
		case m := <-g.messages:
			switch _, alive := g.procs[m.PID]; {
			case !alive:
			case m.Runs > 0 && kills > 0:
				kills--
				time.AfterFunc(rand.N(maxWork), func() { toKill <- m.PID })
			case m.Runs > 0:
			case m.Error != "":
				g.t.Fatalf("process %d: %s", m.PID, m.Error)
			default:
				done[m.PID] = true
				for value, n := range m.Values {
					values[value] += n
				}
				waited = append(waited, m.Waited...)
			}
		case <-time.After(time.Minute):
			g.t.Fatalf("a call hangs; %d of %d processes are done", len(done), len(g.procs))
		}
	}
	calls := 0
	for _, n := range values {
		calls += n
	}
	if wanted := len(g.procs) * onces * perOnce; len(values) != 1 || calls != wanted {
		g.t.Errorf("%s: %d of %d calls, results %v", name, calls, wanted, values)
	}
	return waited, killed
}

// TestProcesses: 1,000 callers in 10 processes, of which the runner is killed at a random moment.
// The result is committed once, and all callers that live have it.
func TestProcesses(t *testing.T) {
	t.Parallel()
	rounds := 6
	if v := os.Getenv(roundsVar); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	g := &group{t: t, procs: map[int]*process{}, messages: make(chan message, 1000)}
	t.Cleanup(func() {
		for pid := range g.procs {
			g.kill(pid)
		}
		g.readers.Wait()
	})
	c := newClient(t, gateway.Config{})
	base := fresh(t)
	var waited []time.Duration
	kills := 0
	for i := range rounds {
		name := base + "/" + strconv.Itoa(i)
		w, killed := g.round(name, 1+i%2)
		waited, kills = append(waited, w...), kills+killed
		resp, err := c.Get(within(t, time.Minute), name+"-done")
		if err != nil || len(resp.KVs) != 1 || resp.KVs[0].Version != 1 {
			t.Fatalf("%s: the result was committed more than once, or not: %v", name, err)
		}
	}
	slices.Sort(waited)
	if len(waited) == 0 {
		t.Fatal("nobody waited")
	}
	figure(t, "%d rounds, %d runners killed: %d callers had the result after the start of its "+
		"commit in %v (median), %v (99 %%), %v (most)",
		rounds, kills, len(waited), waited[len(waited)/2].Round(10*time.Microsecond),
		waited[len(waited)*99/100].Round(10*time.Microsecond),
		waited[len(waited)-1].Round(10*time.Microsecond))
}
