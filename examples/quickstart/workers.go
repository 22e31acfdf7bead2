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

// crew is the worker processes. Each of them is this program, with an environment variable that
// makes it a worker.
type crew struct {
	members map[string]*member
	events  chan event
	failed  chan error // unexpected ends of workers
	stop    context.CancelFunc
	running sync.WaitGroup
}

type member struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	killed atomic.Bool
	ended  chan struct{}
}

// hire starts the workers. The caller must call dismiss, also after an error.
func hire(ctx context.Context, endpoints []string, prefix string, names ...string) (*crew, error) {
	ctx, stop := context.WithCancel(ctx)
	c := &crew{members: map[string]*member{}, events: make(chan event), failed: make(chan error, len(names)), stop: stop}
	// All workers share one pipe. Each report is one write, so the reports arrive in the order of
	// the events.
	reports, stdout, err := os.Pipe()
	if err != nil {
		return c, err
	}
	c.running.Go(func() { c.listen(ctx, reports) })
	env := append(os.Environ(), prefixEnv+"="+prefix, endpointsEnv+"="+strings.Join(endpoints, ","))
	for _, name := range names {
		err = errors.Join(err, c.start(ctx, name, append(slices.Clip(env), workerEnv+"="+name), stdout))
	}
	return c, errors.Join(err, stdout.Close()) // the workers have their own copies
}

func (c *crew) start(ctx context.Context, name string, env []string, stdout io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	m := &member{cmd: exec.CommandContext(ctx, self), ended: make(chan struct{})}
	m.cmd.Env, m.cmd.Stdout, m.cmd.Stderr = env, stdout, os.Stderr
	m.cmd.SysProcAttr = dieWithParent
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	// A worker ends when its input ends. A paused worker must be resumed for that.
	m.cmd.Cancel = func() error {
		m.stdin.Close()
		return m.cmd.Process.Signal(syscall.SIGCONT)
	}
	m.cmd.WaitDelay = time.Second // after that, it is killed
	if err := m.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.members[name] = m
	c.running.Go(func() {
		_ = m.cmd.Wait()
		close(m.ended)
		if !m.killed.Load() && ctx.Err() == nil {
			c.failed <- fmt.Errorf("%s has ended: %v", name, m.cmd.ProcessState)
		}
	})
	return nil
}

// listen passes on the workers' reports until all workers have ended.
func (c *crew) listen(ctx context.Context, reports io.ReadCloser) {
	defer reports.Close()
	for in := json.NewDecoder(reports); ; {
		var e event
		if err := in.Decode(&e); err != nil {
			return
		}
		select {
		case c.events <- e:
		case <-ctx.Done(): // nothing receives the event any more
		}
	}
}

// A worker that holds the lock writes the number when it receives this line.
func (c *crew) tell(name string) error {
	_, err := c.members[name].stdin.Write([]byte("write\n"))
	return err
}

func (c *crew) kill(name string) {
	m := c.members[name]
	m.killed.Store(true)
	_ = m.cmd.Process.Kill()
	<-m.ended
}

func (c *crew) pause(name string) error { return c.members[name].cmd.Process.Signal(syscall.SIGSTOP) }

func (c *crew) resume(name string) error { return c.members[name].cmd.Process.Signal(syscall.SIGCONT) }

// dismiss ends the workers and waits for them.
func (c *crew) dismiss() {
	c.stop()
	c.running.Wait()
}
