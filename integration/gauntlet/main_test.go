// Package gauntlet_test checks this library against known flaws of other recipes for etcd.
//
// Each row is one flaw. Its control provokes the flaw in the peer, the other recipe, which shows
// that the row can fail. Its test does the same to this library. A control that does not show its
// flaw fails, because the row then proves nothing.
//
// rows_test.go lists the rows. "make gauntlet" prints them as a table. "go test -run TestRow/3.05"
// runs some of them.
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
	"github.com/holdfast-go/holdfast/internal/reexec"
)

// A row is one flaw.
type row struct {
	number, name string
	peer, flaw   string // the recipe with the flaw, and the flaw
	control      control
	test         test
	alone        bool
}

// A control provokes the flaw in the peer. A row without a control has a flaw that was only
// reported, because the peer cannot run here. A test does the same in this library. Both return a
// text for the table.
type (
	control func(t *testing.T) (seen string, flawed bool)
	test    func(t *testing.T) (seen string)
)

// together returns a row that runs in parallel with others.
func together(number, name, peer, flaw string, control control, test test) row {
	return row{number, name, peer, flaw, control, test, false}
}

// alone returns a row that compacts the log and runs alone, because that may disturb the controls
// of other rows.
func alone(number, name, peer, flaw string, control control, test test) row {
	return row{number, name, peer, flaw, control, test, true}
}

// results holds the table's text for each row.
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
						t.Errorf("proves nothing: %s does not show that %s: %s", r.peer, r.flaw,
							seen)
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
	// etcd is a client on a link that no test breaks. Tests use it to check the member's state.
	etcd *clientv3.Client
)

// atOnce is how many rows run in parallel. It exceeds the number of cores because rows mostly wait.
const atOnce = "8"

func TestMain(m *testing.M) {
	reexec.Main()
	if err := flag.Set("test.parallel", atOnce); err != nil { // the command line overrides it
		panic(err)
	}
	member := recipetest.Server(etcdproc.Versions()[0])
	goleak.VerifyTestMain(etcdtest.Shared(withTable{m}, member, func(c *etcdtest.Cluster) {
		cluster = c
	}))
}

// withTable runs the tests and then prints the table. If some tests fail, it prints only their
// rows, so that their output stays visible.
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
			fmt.Fprintf(&text, "%s\t%s\t%s: %s\t%s\n", r.number, r.flaw, r.peer, results[i].peer,
				results[i].ours)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(table, text.String())
	_ = table.Flush()
	return code
}
