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
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// childArg makes the program a contender of its own, told what to do by the rest of its command line.
const childArg = "-child"

// hotProcesses: so many processes want the same lock.
func hotProcesses(processes int) work {
	return func(e env, lib library) (result, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(e.ctx)
		defer cancel() // ends those still there
		var lines []*bufio.Scanner
		var begin []func() error
		var children []*exec.Cmd
		for range processes {
			cmd := exec.CommandContext(ctx, self, childArg, lib.id(), strings.Join(e.etcd.Endpoints(), ","), e.name, e.dur.String())
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				return nil, err
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				return nil, err
			}
			if err := cmd.Start(); err != nil {
				return nil, err
			}
			children = append(children, cmd)
			lines, begin = append(lines, bufio.NewScanner(out)), append(begin, in.Close)
		}
		for _, line := range lines { // each is connected
			if !line.Scan() {
				return nil, errors.New("a process ended early")
			}
		}
		for _, start := range begin {
			if err := start(); err != nil {
				return nil, err
			}
		}
		var sum float64
		for i, line := range lines {
			var n float64
			if !line.Scan() || json.Unmarshal(line.Bytes(), &n) != nil {
				return nil, errors.New("a process has no result")
			}
			if err := children[i].Wait(); err != nil {
				return nil, err
			}
			sum += n
		}
		return result{sum}, nil
	}
}

// child is one of the processes: it connects, says so, waits for the end of its input and prints its rate.
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
	e := env{ctx: context.Background(), etcd: etcdproc.Given(strings.Split(args[1], ",")...), dur: dur, name: args[2]}
	_, err = withClient(e, lib, func(c client) (result, error) {
		fmt.Println("connected")
		for in := bufio.NewReader(os.Stdin); err == nil; {
			_, err = in.ReadByte()
		}
		r, err := rate(e, 1, func(int) cycle { return lockCycle(c.locker(e.name)) })
		if err == nil {
			fmt.Println(r[0])
		}
		return r, err
	})
	return err
}
