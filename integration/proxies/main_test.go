package proxies_test

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// longVar makes each row two minutes busy and two minutes idle. "make proxies" sets it.
const longVar = "HOLDFAST_PROXIES"

// pace is how long a row is busy, how long it is idle, the pause between two rounds, and how many
// rows run in parallel. It may be more rows than cores, because rows mostly wait.
type pace struct {
	busy, idle, pause time.Duration
	rows              int
}

var (
	short = pace{
		busy: 5 * time.Second, idle: 7 * time.Second, pause: 150 * time.Millisecond,
		rows: 8,
	}
	long = pace{busy: 2 * time.Minute, idle: 2 * time.Minute, pause: time.Second, rows: 12}
)

func chosenPace() pace {
	if os.Getenv(longVar) != "" {
		return long
	}
	return short
}

var cluster *etcdtest.Cluster

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(chosenPace().rows)); err != nil {
		panic(err)
	}
	options := recipetest.Server(etcdproc.Versions()[0])
	options.Members = 3
	goleak.VerifyTestMain(etcdtest.Shared(m, options, func(c *etcdtest.Cluster) { cluster = c }))
}
