package etcdtest

import (
	"context"
	"fmt"
	"os"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// A Runner runs the tests of a package; *testing.M is one.
type Runner interface{ Run() int }

// Shared returns a Runner that starts one cluster for all tests of a package,
// hands it to use, runs the tests and closes the cluster. If a test fails, it
// shows the end of the log of each member that no longer runs; that of one that
// does is about the last tests, and hides what the failed one has said. The
// cluster is gone before leaks are looked for in
//
//	func TestMain(m *testing.M) {
//		goleak.VerifyTestMain(etcdtest.Shared(m, nil, func(c *etcdtest.Cluster) { cluster = c }))
//	}
func Shared(m Runner, options *etcdproc.Options, use func(*Cluster)) Runner {
	return shared{m, options, use}
}

type shared struct {
	tests   Runner
	options *etcdproc.Options
	use     func(*Cluster)
}

func (s shared) Run() int {
	c, err := etcdproc.Start(context.Background(), s.options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.use(&Cluster{c})
	code := s.tests.Run()
	if code != 0 {
		for _, m := range c.Members() {
			if !m.Running() {
				fmt.Fprintf(os.Stderr, "log of %s:\n%s\n", m.Name(), m.LogTail(logLines))
			}
		}
	}
	if err := c.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
