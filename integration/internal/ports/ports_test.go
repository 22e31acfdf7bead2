package ports_test

import (
	"context"
	"net"
	"os/exec"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/integration/internal/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReservedPortsAreFreeAndDiffer(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p, err := ports.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Release(); err != nil {
				t.Error(err)
			}
		}()
		if seen[p.Number()] {
			t.Errorf("port %d was given twice", p.Number())
		}
		seen[p.Number()] = true
		l, err := net.Listen("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A child process that is being started has a copy of every open file of this process until it runs
// its program.
func TestPortsAreFreeWhileProcessesStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var starting sync.WaitGroup
	defer starting.Wait()
	defer cancel()
	for range 2 {
		starting.Go(func() {
			for ctx.Err() == nil {
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 1000 {
		p, err := ports.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			l, err := net.Listen("tcp", p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			if err := ports.Unlisten(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Release(); err != nil {
			t.Fatal(err)
		}
	}
}
