package cli_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// onTerminal runs a script by bash, which leads the session of a new terminal. It returns the keyboard and the screen.
func onTerminal(t *testing.T, script string) (*os.File, *bufio.Reader) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	var unlock, n int32
	for request, arg := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &n} {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(arg))); e != 0 {
			t.Fatal(e)
		}
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(plainEnv(), "ETCDCTL_ENDPOINTS="+strings.Join(cluster.Endpoints(), ","), "holdfast="+program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, mostly
		_ = cmd.Wait()
	})
	return master, bufio.NewReader(master)
}

// shown reads the screen up to a line with the word, and returns all of it.
func shown(t *testing.T, screen *bufio.Reader, word string) (all string) {
	t.Helper()
	for {
		line, err := screen.ReadString('\n')
		all += line
		if strings.Contains(line, word) || err != nil {
			return all
		}
	}
}

// TestJobControlStopsBoth: Ctrl-Z stops the command too when its input is not the terminal.
func TestJobControlStopsBoth(t *testing.T) {
	t.Parallel()
	keys, screen := onTerminal(t, `set -m; $holdfast lock `+fresh(t)+
		` -- sh -c 'echo "child $$"; while :; do sleep 0.05; done' </dev/null; echo "back $?"; kill -KILL %1; wait`)
	pid := strings.Fields(shown(t, screen, "child"))[1]
	if _, err := keys.Write([]byte{'Z' - '@'}); err != nil {
		t.Fatal(err)
	}
	if out := shown(t, screen, "back"); !strings.Contains(out, "back 148") {
		t.Fatalf("after Ctrl-Z: %q", out)
	}
	if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") T ") &&
		alive(t, pid) {
		t.Errorf("the command runs on: %s", stat)
	}
}

// TestInterruptEndsScript: Ctrl-C ends the script around holdfast, not only the command.
func TestInterruptEndsScript(t *testing.T) {
	t.Parallel()
	keys, screen := onTerminal(t, `$holdfast lock `+fresh(t)+` -- sh -c 'echo ready; exec sleep 100'; echo went-on`)
	shown(t, screen, "ready")
	if _, err := keys.Write([]byte{'C' - '@'}); err != nil {
		t.Fatal(err)
	}
	if out := shown(t, screen, "went-on"); strings.Contains(out, "went-on") {
		t.Errorf("the script went on: %q", out)
	}
}
