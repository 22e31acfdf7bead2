// Command command is run by the tests under holdfast as the first process of a container.
//
//	command exit STATUS   exits with the status
//	command kill          ends by SIGKILL
//	command wait          prints a line, waits for SIGTERM, and exits with 7
//	command orphan        leaves an orphan, and exits with 0 when its zombie is gone
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "command:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch args[0] {
	case "exit":
		status, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		os.Exit(status)
	case "kill":
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "wait":
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		fmt.Println("waiting")
		<-term
		os.Exit(7)
	case "orphan":
		return orphan()
	case "parent": // of the orphan
		child := exec.Command(os.Args[0], "exit", "0")
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Println(child.Process.Pid)
	}
	return nil
}

// orphan starts a process whose child outlives it, and waits until nothing is left of the child.
func orphan() error {
	out, err := exec.Command(os.Args[0], "parent").Output()
	if err != nil {
		return err
	}
	stat := "/proc/" + strings.TrimSpace(string(out)) + "/stat"
	for range 1000 {
		if _, err := os.Stat(stat); os.IsNotExist(err) {
			return nil
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // not this process's child
	}
	text, err := os.ReadFile(stat)
	return fmt.Errorf("the orphan is still there: %s: %w", text, err)
}
