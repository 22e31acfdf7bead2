// Command compare runs the same work with holdfast and with clientv3/concurrency, or its recipes, in turn, on one real etcd
// in one run, and prints what each reached and the ratio of the two: more than 1 is better, also where less of the figure
// is. Compare ratios of one run only; the absolute figures are those of the machine and of what else it does.
//
//	go run ./compare            # all, in several rounds
//	go run ./compare -quick
//	go run ./compare -case 'lock_own.*' -rounds 7
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		child(os.Args[2:])
		return
	}
	rounds := flag.Int("rounds", 5, "how often each case is run by each of the two")
	quick := flag.Bool("quick", false, "fewer and shorter rounds, and not all cases")
	only := flag.String("case", "", "a regular expression for the names of the cases")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *rounds, *quick, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, quick bool, only string) (err error) {
	pick, err := regexp.Compile("^(" + only + ")$")
	if err != nil {
		return err
	}
	dur := time.Second
	if quick {
		rounds, dur = min(rounds, 3), 500*time.Millisecond
	}
	plain, err := start(ctx, &etcdproc.Options{Version: etcdproc.Versions()[0]})
	if err != nil {
		return err
	}
	secure, err := start(ctx, &etcdproc.Options{Version: etcdproc.Versions()[0], TLS: true})
	if err != nil {
		return errors.Join(err, plain.Close())
	}
	defer func() { err = errors.Join(err, plain.Close(), secure.Close()) }()
	fmt.Printf("etcd %s, fsync on; %d rounds. ratio = holdfast / clientv3, more is better.\n\n", etcdproc.Versions()[0], rounds)
	fmt.Printf("%-22s %6s %6s %6s   %14s %14s\n", "", "min", "median", "max", "holdfast", "clientv3")
	for _, c := range cases {
		if only != "" && !pick.MatchString(c.name) || only == "" && quick && !c.quick {
			continue
		}
		e := env{ctx: ctx, etcd: plain, dur: dur}
		if c.tls {
			e.etcd = secure
		}
		if err := c.compare(e, rounds); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func start(ctx context.Context, o *etcdproc.Options) (*etcdproc.Cluster, error) {
	return etcdproc.Start(ctx, o)
}

// env is what a case runs in.
type env struct {
	ctx  context.Context // that of the whole run
	etcd *etcdproc.Cluster
	dur  time.Duration // of one measurement
	name string        // for keys; no other measurement has it
}

// a result is one figure, or several of one run, such as a median and a 99th percentile.
type result []float64

// work is what a case measures. It is given the library to do it with.
type work func(e env, lib library) (result, error)

// comparison is a case: one or more figures that one run of its work gives.
type comparison struct {
	name  string
	also  []string // names of the further figures
	unit  string
	less  bool // less of the figure is better
	quick bool // part of -quick
	tls   bool
	once  bool // does not vary from round to round
	work  work
}

// compare runs the case by turns and prints a line for each figure.
func (c comparison) compare(e env, rounds int) error {
	if c.once {
		rounds = 1
	}
	ours, theirs := make([]result, rounds), make([]result, rounds)
	for i := range rounds {
		turns := []func() error{
			func() (err error) {
				ours[i], err = c.measure(e, fmt.Sprintf("%s-h%d", c.name, i), holdfast{})
				return err
			},
			func() (err error) {
				theirs[i], err = c.measure(e, fmt.Sprintf("%s-c%d", c.name, i), clientV3{})
				return err
			},
		}
		if i%2 == 1 { // neither always comes first
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
	}
	for k, name := range append([]string{c.name}, c.also...) {
		var ratios, own, peer []float64
		for i := range rounds {
			a, b := ours[i][k], theirs[i][k]
			own, peer = append(own, a), append(peer, b)
			if c.less {
				a, b = b, a
			}
			ratios = append(ratios, a/b)
		}
		slices.Sort(ratios)
		fmt.Printf("ratio %-16s %6.2f %6.2f %6.2f   %9.1f %-4s %9.1f %-4s\n", name,
			ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1], median(own), c.unit, median(peer), c.unit)
	}
	return nil
}

func (c comparison) measure(e env, name string, lib library) (result, error) {
	e.name = name
	ctx, cancel := context.WithTimeout(e.ctx, 2*time.Minute)
	defer cancel()
	e.ctx = ctx
	return c.work(e, lib)
}

func median(xs []float64) float64 { return percentile(xs, 50) }

func percentile(xs []float64, p int) float64 {
	if len(xs) == 0 {
		return 0
	}
	sorted := slices.Clone(xs)
	slices.Sort(sorted)
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
