package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// workers are the worker processes. Each of them is this program, with an environment variable that
// makes it a worker.
type workers struct {
	byName  map[string]*workerProcess
	events  chan event
	failed  chan error // unexpected ends of workers
	stop    context.CancelFunc
	running sync.WaitGroup
}

type workerProcess struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	killed atomic.Bool
	ended  chan struct{}
}

// startWorkers starts the workers. The caller must call end, also after an error.
func startWorkers(
	ctx context.Context, endpoints []string, prefix string, names ...string,
) (*workers, error) {
	ctx, stop := context.WithCancel(ctx)
	w := &workers{
		byName: map[string]*workerProcess{}, stop: stop,
		events: make(chan event), failed: make(chan error, len(names)),
	}
	// All workers share one pipe. Each report is one write, so the reports arrive in the order of
	// the events.
	reports, stdout, err := os.Pipe()
	if err != nil {
		return w, err
	}
	w.running.Go(func() { w.listen(ctx, reports) })
	env := append(os.Environ(), prefixEnv+"="+prefix, endpointsEnv+"="+strings.Join(endpoints, ","))
	for _, name := range names {
		own := append(slices.Clip(env), workerEnv+"="+name)
		err = errors.Join(err, w.start(ctx, name, own, stdout))
	}
	return w, errors.Join(err, stdout.Close()) // the workers have their own copies
}

func (w *workers) start(ctx context.Context, name string, env []string, stdout io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p := &workerProcess{cmd: exec.CommandContext(ctx, self), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, stdout, os.Stderr
	p.cmd.SysProcAttr = dieWithParent
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	// A worker ends when its input ends. A paused worker must be resumed for that.
	p.cmd.Cancel = func() error {
		p.stdin.Close()
		return p.cmd.Process.Signal(syscall.SIGCONT)
	}
	p.cmd.WaitDelay = time.Second // after that, it is killed
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	w.byName[name] = p
	w.running.Go(func() {
		_ = p.cmd.Wait()
		close(p.ended)
		if !p.killed.Load() && ctx.Err() == nil {
			w.failed <- fmt.Errorf("%s has ended: %v", name, p.cmd.ProcessState)
		}
	})
	return nil
}

// listen passes on the workers' reports until all workers have ended.
func (w *workers) listen(ctx context.Context, reports io.ReadCloser) {
	defer reports.Close()
	for in := json.NewDecoder(reports); ; {
		var e event
		if err := in.Decode(&e); err != nil {
			return
		}
		select {
		case w.events <- e:
		case <-ctx.Done(): // nothing receives the event any more
		}
	}
}

// letWrite lets the worker that holds the lock write the number.
func (w *workers) letWrite(name string) error {
	_, err := w.byName[name].stdin.Write([]byte("write\n"))
	return err
}

func (w *workers) kill(name string) {
	p := w.byName[name]
	p.killed.Store(true)
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (w *workers) pause(name string) error { return w.signal(name, syscall.SIGSTOP) }

func (w *workers) resume(name string) error { return w.signal(name, syscall.SIGCONT) }

func (w *workers) signal(name string, sig syscall.Signal) error {
	return w.byName[name].cmd.Process.Signal(sig)
}

// end ends the workers and waits for them.
func (w *workers) end() {
	w.stop()
	w.running.Wait()
}
