package etcdtest

import (
	"context"
	"fmt"
	"os"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// A Runner runs the tests of a package. *testing.M is a Runner.
type Runner interface{ Run() int }

// Shared returns a Runner for all tests of a package. Its Run starts one cluster, calls use with
// it, runs the tests and closes the cluster. Run returns 1 if the cluster cannot be started or
// closed. If a test fails, Run prints the end of the log of each member that no longer runs. The
// log of a running member is not printed, because it is about the last tests. The cluster is closed
// before goleak looks for leaks in
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
