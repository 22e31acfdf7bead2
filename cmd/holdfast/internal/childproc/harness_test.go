package childproc_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/childproc"
	"github.com/holdfast-go/holdfast/internal/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main()
	goleak.VerifyTestMain(m)
}

// hold lasts until a time, or until lose is called. After sleep its end is known to Err alone.
type hold struct {
	ctx   context.Context
	lose  context.CancelFunc
	until time.Time
	slept *atomic.Bool
}

var errSlept = errors.New("the machine was asleep")

func (h hold) Err() error {
	switch {
	case h.slept.Load():
		return errSlept
	case h.ctx.Err() == nil && time.Now().After(h.until):
		return context.DeadlineExceeded
	}
	return h.ctx.Err()
}

func (h hold) Context() context.Context { return h.ctx }
func (h hold) Deadline() time.Time      { return h.until }

func lasting(d time.Duration) hold {
	ctx, lose := context.WithCancel(context.Background())
	return hold{ctx: ctx, lose: lose, until: time.Now().Add(d), slept: new(atomic.Bool)}
}

// runners has one runner for each test, because two would reap each other's children.
var runners = map[*testing.T]*childproc.Runner{}

// runner returns the test's runner. Its warnings are in the test's log.
func runner(t *testing.T) *childproc.Runner {
	t.Helper()
	r := runners[t]
	if r == nil {
		r = childproc.NewRunner(t.Logf)
		runners[t] = r
		t.Cleanup(r.Close)
	}
	return r
}

func null(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestACommandThatDoesNotExistIsAnError(t *testing.T) {
	c := childproc.Command{
		Args: []string{"/no/such/command"}, Stdin: null(t), Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if _, err := runner(t).Start(c, lasting(time.Hour)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
