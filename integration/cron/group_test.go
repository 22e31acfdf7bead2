package cron_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/faultproxy"
)

const processes = 5

// group is the processes of a test. Its methods are called by one goroutine.
type group struct {
	t        *testing.T
	etcd     *etcdtest.Cluster
	args     arguments
	maxShift time.Duration
	messages chan message
	procs    map[int]*process
	readers  sync.WaitGroup
}

// process is a replica, which reaches each member through a proxy of its own.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	proxies []*faultproxy.Proxy
}

func newGroup(
	t *testing.T, etcd *etcdtest.Cluster, args arguments, maxShift time.Duration,
) *group {
	t.Helper()
	g := &group{
		t: t, etcd: etcd, args: args, maxShift: maxShift, messages: make(chan message, 100_000),
		procs: map[int]*process{},
	}
	t.Cleanup(g.stop)
	for range processes {
		g.start()
	}
	return g
}

// start starts a process with a clock that is wrong.
func (g *group) start() {
	g.t.Helper()
	args := g.args
	args.Shift = rand.N(2*g.maxShift) - g.maxShift
	p := &process{}
	for _, endpoint := range g.etcd.Endpoints() {
		proxy, err := faultproxy.New(endpoint)
		if err != nil {
			g.t.Fatal(err)
		}
		p.proxies = append(p.proxies, proxy)
		args.Endpoints = append(args.Endpoints, proxy.URL())
	}
	p.cmd = replicas.Command(context.Background(), args)
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
				return // ended
			}
			g.messages <- m
		}
	})
}

// kill kills a process and starts another.
func (g *group) kill(pid int) {
	p := g.procs[pid]
	delete(g.procs, pid)
	_ = p.cmd.Process.Kill()
	_ = p.in.Close()
	_ = p.cmd.Wait()
	g.closeProxies(p)
	g.start()
}

func (g *group) closeProxies(p *process) {
	for _, proxy := range p.proxies {
		if err := proxy.Close(); err != nil {
			g.t.Error(err)
		}
	}
}

// cut loses all bytes between a process and etcd.
func (p *process) cut() {
	for _, proxy := range p.proxies {
		proxy.Blackhole(faultproxy.Both)
	}
}

func (g *group) heal(p *process) {
	for _, proxy := range p.proxies {
		if err := proxy.Heal(); err != nil {
			g.t.Error(err)
		}
	}
}

func (p *process) freeze() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) thaw()   { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// stop lets all processes end.
func (g *group) stop() {
	for _, p := range g.procs {
		_ = p.in.Close()
		p.thaw()
		g.heal(p)
	}
	g.readers.Wait()
	for pid, p := range g.procs {
		delete(g.procs, pid)
		if err := p.cmd.Wait(); err != nil {
			g.t.Errorf("a process: %v", err)
		}
		g.closeProxies(p)
	}
}

// writes returns the times of the guarded writes, in order, and how many were applied more than
// once.
func (g *group) writes() (times []time.Time, double int) {
	g.t.Helper()
	c := newClient(g.t, gateway.Config{Endpoints: g.etcd.Endpoints()})
	prefix := g.args.Name + "-done/"
	resp, err := c.Get(within(g.t, time.Minute), prefix, gateway.Prefix())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, kv := range resp.KVs {
		ns, err := strconv.ParseInt(kv.Key[len(prefix):], 10, 64)
		if err != nil {
			g.t.Fatal(err)
		}
		times = append(times, time.Unix(0, ns).UTC())
		if kv.Version > 1 {
			double++
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, double
}
