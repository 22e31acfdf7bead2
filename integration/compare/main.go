// Command compare measures holdfast and clientv3/concurrency, or its recipes, on the same work.
//
// They run in turn, on one real etcd in one run. The command prints the figures of each and the
// ratio of the two: more than 1 is better for holdfast, also where less of the figure is better.
// Compare ratios of one run only, because absolute figures depend on the machine and its load.
//
//	go run ./compare            # all, in several rounds
//	go run ./compare -quick
//	go run ./compare -case 'lock_own.*' -rounds 7
//	go run ./compare -case 'line_.*|fleet_.*' -rounds 3  # also fleets of 1,000 clients
//	go run ./compare -out ../docs/performance.txt && go run ./compare -redraw ../docs
//
// There are three kinds of line. The first lines of the output name their columns. "ratio" is
// holdfast against clientv3. "floor" is a lock and an unlock of holdfast against two bare puts over
// gRPC. Both have the lowest, median and highest ratio of the rounds and the medians of the
// absolute figures. "point" is a figure at a size, without a ratio.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		child(os.Args[2:])
		return
	}
	var p plan
	flag.IntVar(&p.rounds, "rounds", 5,
		"how often each case is run by each library; at most, without -case")
	flag.BoolVar(&p.quick, "quick", false, "fewer and shorter rounds, and not all cases")
	only := flag.String("case", "", "a regular expression for the names of the cases")
	out := flag.String("out", "", "a file that gets the results besides")
	docs := flag.String("redraw", "",
		"measure nothing: write tables and plots of performance.txt in this directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := func() error {
		if *docs != "" {
			return redraw(*docs)
		}
		return run(ctx, p, *only, *out)
	}()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// plan is the number of rounds, and whether only the quick cases run.
type plan struct {
	rounds int
	quick  bool
}

func run(ctx context.Context, p plan, only, out string) (err error) {
	pick, err := regexp.Compile("^(" + only + ")$")
	if err != nil {
		return err
	}
	to := io.Writer(os.Stdout)
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		to = io.MultiWriter(to, f)
	}
	dur := time.Second
	if p.quick {
		p.rounds, dur = min(p.rounds, 3), 500*time.Millisecond
	}
	servers := &servers{ctx: ctx}
	defer func() { err = errors.Join(err, servers.close()) }()
	begun := false
	for _, c := range cases {
		rounds := p.rounds
		switch {
		case only != "" && !pick.MatchString(c.name):
			continue
		case only == "" && (c.long || p.quick && !c.quick):
			continue
		case only == "" && c.rounds > 0:
			rounds = min(rounds, c.rounds)
		}
		etcd, err := servers.get(c.on)
		if err != nil {
			return err
		}
		if !begun {
			if err := preface(ctx, to, etcd, p); err != nil {
				return err
			}
			begun = true
		}
		found, err := c.compare(env{ctx: ctx, etcd: etcd, dur: dur}, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := found.print(to); err != nil {
			return err
		}
	}
	return nil
}
