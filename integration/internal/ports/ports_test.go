package ports_test

import (
	"net"
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
