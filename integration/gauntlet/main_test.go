// Package gauntlet_test runs this library through what is known to go wrong in other recipes for etcd. Each row is one
// flaw: its control provokes it in the peer that has it, which shows that the row can fail, and its test does the same to
// this library. A control that does not show its flaw fails, since then the row proves nothing.
//
// rows_test.go lists the rows. "make gauntlet" prints them as a table; "go test -run TestRow/3.05" runs some.
package gauntlet_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// A row is one flaw.
type row struct {
	number, name string
	peer, flaw   string // in what something goes wrong, and what
	control      control
	test         test
	alone        bool
}

// A control provokes the flaw in the peer. Without one the flaw was only reported: the peer is not here to run. A test
// does the same here. What they have seen is for the table.
type (
	control func(t *testing.T) (seen string, flawed bool)
	test    func(t *testing.T) (seen string)
)

// together is a row that runs beside others.
func together(number, name, peer, flaw string, control control, test test) row {
	return row{number, name, peer, flaw, control, test, false}
}

// alone is a row that compacts the log, which may hit the controls of other rows, too.
func alone(number, name, peer, flaw string, control control, test test) row {
	return row{number, name, peer, flaw, control, test, true}
}

// results has what the table says of each row.
var results = make([]struct {
	peer, ours string
	failed     bool
}, len(rows))

func TestRow(t *testing.T) {
	for i, r := range rows {
		t.Run(r.number+"_"+r.name, func(t *testing.T) {
			if !r.alone {
				t.Parallel()
			}
			results[i].peer, results[i].ours = "FAILED", "FAILED"
			if r.control == nil {
				results[i].peer = "not run (reported)"
			} else {
				t.Run("peer", func(t *testing.T) {
					seen, flawed := r.control(t)
					results[i].peer = seen
					if !flawed {
						results[i].peer = "NOT SHOWN: " + seen
						t.Errorf("proves nothing: %s does not show that %s: %s", r.peer, r.flaw, seen)
					}
				})
			}
			t.Run("holdfast", func(t *testing.T) {
				if seen := r.test(t); !t.Failed() {
					results[i].ours = seen
				}
			})
			results[i].failed = t.Failed()
		})
	}
}

var (
	// cluster is one member that all rows share.
	cluster *etcdtest.Cluster
	// etcd looks at the member behind everybody's back, over a link that no test breaks.
	etcd *clientv3.Client
)

// atOnce is how many rows run at the same time. They spend it waiting.
const atOnce = "8"

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(childEnv); endpoint != "" {
		panicInSTM(endpoint)
		return
	}
	if err := flag.Set("test.parallel", atOnce); err != nil { // what the command line says replaces it
		panic(err)
	}
	member := recipetest.Server(etcdproc.Versions()[0])
	goleak.VerifyTestMain(etcdtest.Shared(withTable{m}, member, func(c *etcdtest.Cluster) { cluster = c }))
}

// withTable runs the tests and then prints the table. If some have failed, these are all it has, so that what they say
// stays in sight.
type withTable struct{ tests etcdtest.Runner }

func (w withTable) Run() int {
	var err error
	if etcd, err = cluster.NewClientV3(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := w.tests.Run()
	if err := etcd.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var text strings.Builder
	text.WriteString("row\twhat goes wrong\tin the peer\tin holdfast\n")
	for i, r := range rows {
		if results[i].ours != "" && (results[i].failed || code == 0) {
			fmt.Fprintf(&text, "%s\t%s\t%s: %s\t%s\n", r.number, r.flaw, r.peer, results[i].peer, results[i].ours)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(table, text.String())
	_ = table.Flush()
	return code
}
