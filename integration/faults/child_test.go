package faults_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/integration/faults/load"
	"github.com/holdfast-go/holdfast/internal/reexec"
)

// crew is a process of parties.
var crew = reexec.Register("crew", runParties)

// A process runs parties outside of the test process, so that the test can freeze and kill them. It
// reads commands, and ends when its standard input does.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	err    error
	reader sync.WaitGroup
	waiter sync.WaitGroup
	ended  sync.Once
}

func startProcess(t *testing.T, configs []load.Config, rec *history.Recorder) *process {
	t.Helper()
	p := &process{cmd: crew.Command(context.Background(), configs)}
	p.cmd.SysProcAttr = dieWithParent()
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started, reap := make(chan error), make(chan struct{})
	p.waiter.Go(func() {
		runtime.LockOSThread() // the kernel kills the child when the thread that forked it ends
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			<-reap
			_ = p.cmd.Wait() // it was killed, or has printed its error
		}
	})
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	p.reader.Go(func() {
		p.err = rec.Adopt(out)
		close(reap)
	})
	t.Cleanup(p.kill)
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process at once.
func (p *process) kill() {
	p.ended.Do(func() {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		_ = p.in.Close()
	})
	p.reader.Wait()
	p.waiter.Wait()
}

// The commands that a process reads.
const (
	beginStorm = 's'
	endLoad    = 'e'
)

// storm makes the process keep its scheduler busy.
func (p *process) storm() { _, _ = p.in.Write([]byte{beginStorm}) }

// stop ends the load of the process. Its consumers continue.
func (p *process) stop() { _, _ = p.in.Write([]byte{endLoad}) }

// finish ends the process by closing its standard input.
func (p *process) finish() error {
	_ = p.in.Close()
	p.reader.Wait()
	p.waiter.Wait()
	return p.err
}

// runParties is the main function of such a process.
func runParties(configs []load.Config) int {
	rec := history.NewRecorder(os.Stdout)
	var parties []*load.Party
	for _, c := range configs {
		p, err := load.Start(c, rec)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		parties = append(parties, p)
	}
	for told := make([]byte, 1); ; {
		if _, err := os.Stdin.Read(told); err != nil {
			break
		}
		switch told[0] {
		case beginStorm:
			parties[0].Storm()
		case endLoad:
			for _, p := range parties {
				p.Stop()
			}
		}
	}
	code := 0
	for _, p := range parties {
		if err := p.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}
