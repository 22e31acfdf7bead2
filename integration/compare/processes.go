package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// childArg makes the program a contender. The rest of its command line is the configuration.
const childArg = "-child"

// share is the report of one process.
type share struct {
	Rate   float64 // in the time of the measurement
	Client float64 // CPU of each operation
	Allocs float64 // of each operation
	All    float64 // operations, also before and after the measurement
}

// hotProcesses: so many processes want the same lock.
func hotProcesses(processes int) work {
	return func(e env, lib library) (result, error) {
		self, err := os.Executable()
		if err != nil {
			return result{}, err
		}
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel() // ends the processes that still run
		var lines []*bufio.Scanner
		var begin []func() error
		var children []*exec.Cmd
		for range processes {
			cmd := exec.CommandContext(ctx, self, childArg, lib.id(),
				strings.Join(e.etcd.Endpoints(), ","), e.name, e.dur.String())
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				return result{}, err
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				return result{}, err
			}
			if err := cmd.Start(); err != nil {
				return result{}, err
			}
			children = append(children, cmd)
			lines, begin = append(lines, bufio.NewScanner(out)), append(begin, in.Close)
		}
		for _, line := range lines { // every process is connected
			if !line.Scan() {
				return result{}, errors.New("a process ended early")
			}
		}
		m := startMeter(e.etcd)
		for _, start := range begin {
			if err := start(); err != nil {
				return result{}, err
			}
		}
		var sum share
		for i, line := range lines {
			var s share
			if !line.Scan() || json.Unmarshal(line.Bytes(), &s) != nil {
				return result{}, errors.New("a process has no result")
			}
			if err := children[i].Wait(); err != nil {
				return result{}, err
			}
			sum.Rate, sum.All = sum.Rate+s.Rate, sum.All+s.All
			sum.Client, sum.Allocs = sum.Client+s.Rate*s.Client, sum.Allocs+s.Rate*s.Allocs
		}
		return result{
			figures: []float64{sum.Rate},
			cost: cost{
				client: sum.Client / sum.Rate, server: m.cost(sum.All).server, allocs: sum.Allocs / sum.Rate,
			},
		}, nil
	}
}

// child is the main function of a contender: it connects, reports that, waits for the end of its
// input and prints its share.
func child(args []string) {
	if err := contend(args); err != nil {
		fmt.Fprintln(os.Stderr, "compare: process:", err)
		os.Exit(1)
	}
}

func contend(args []string) error {
	lib := map[string]library{holdfast{}.id(): holdfast{}, clientV3{}.id(): clientV3{}}[args[0]]
	dur, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	etcd := etcdproc.Given(strings.Split(args[1], ",")...)
	e := env{ctx: context.Background(), etcd: etcd, dur: dur, name: args[2]}
	_, err = withClient(e, lib, func(c client) (result, error) {
		fmt.Println("connected")
		for in := bufio.NewReader(os.Stdin); err == nil; {
			_, err = in.ReadByte()
		}
		var all atomic.Int64
		r, err := rate(e, 1, func(int) cycle {
			once := lockCycle(c.locker(e.name))
			return func(ctx context.Context) error {
				all.Add(1)
				return once(ctx)
			}
		})
		if err != nil {
			return r, err
		}
		own := share{r.figures[0], r.cost.client, r.cost.allocs, float64(all.Load())}
		return r, json.NewEncoder(os.Stdout).Encode(own)
	})
	return err
}
