// Command compare runs the same work with holdfast and with clientv3/concurrency, or its recipes, in turn, on one real etcd
// in one run, and prints what each reached and the ratio of the two: more than 1 is better, also where less of the figure
// is. Compare ratios of one run only; the absolute figures are those of the machine and of what else it does.
//
//	go run ./compare            # all, in several rounds
//	go run ./compare -quick
//	go run ./compare -case 'lock_own.*' -rounds 7
//	go run ./compare -out ../docs/performance.txt && go run ./compare -redraw ../docs
//
// There are three kinds of line, whose columns the first lines of the output name. "ratio" is holdfast against clientv3;
// "floor" is a lock and an unlock of holdfast against two bare puts over gRPC, each with the lowest, median and highest
// ratio of the rounds and the medians of the absolute figures; "point" is a figure at a size, of which there is no ratio.
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
	flag.IntVar(&p.rounds, "rounds", 5, "how often each case is run by each library")
	flag.BoolVar(&p.quick, "quick", false, "fewer and shorter rounds, and not all cases")
	only := flag.String("case", "", "a regular expression for the names of the cases")
	out := flag.String("out", "", "a file that gets the results besides")
	docs := flag.String("redraw", "", "measure nothing: write tables and plots of performance.txt in this directory")
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

// plan is how much is measured.
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
		if only != "" && !pick.MatchString(c.name) || only == "" && p.quick && !c.quick {
			continue
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
		found, err := c.compare(env{ctx: ctx, etcd: etcd, dur: dur}, p.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := found.print(to); err != nil {
			return err
		}
	}
	return nil
}
