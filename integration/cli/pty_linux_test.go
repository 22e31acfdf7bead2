package cli_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// onTerminal runs a script in bash, which leads the session of a new terminal. It returns the
// keyboard and the screen.
func onTerminal(t *testing.T, script string) (*os.File, *bufio.Reader) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	var unlock, n int32
	for request, arg := range map[uintptr]*int32{
		syscall.TIOCSPTLCK: &unlock,
		syscall.TIOCGPTN:   &n,
	} {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request,
			uintptr(unsafe.Pointer(arg))); e != 0 {
			t.Fatal(e)
		}
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(plainEnv(), "ETCDCTL_ENDPOINTS="+strings.Join(cluster.Endpoints(), ","),
		"holdfast="+program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	// the end of bash makes shown return
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		late.Stop()
		_ = cmd.Process.Kill() // usually it has ended
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

// TestJobControlStopsBoth: Ctrl-Z stops the command too if its input is not the terminal, and stops
// it first: when the shell notices that holdfast has stopped, the command has stopped.
func TestJobControlStopsBoth(t *testing.T) {
	t.Parallel()
	// The command does not fork, because dash hangs under any shell if Ctrl-Z is pressed between
	// its vfork and the exec. holdfast is killed only after the test has looked, because the
	// command dies with it.
	keys, screen := onTerminal(t, `set -m; $holdfast lock `+fresh(t)+
		` -- sh -c 'echo "child $$"; exec sleep 1000' </dev/null; echo "back $?"; read x; kill `+
		`-KILL %1; wait`)
	pid := strings.Fields(shown(t, screen, "child"))[1]
	if _, err := keys.Write([]byte{'Z' - '@'}); err != nil {
		t.Fatal(err)
	}
	if out := shown(t, screen, "back"); !strings.Contains(out, "back 148") {
		t.Fatalf("after Ctrl-Z: %q", out)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil || !strings.Contains(string(stat), ") T ") {
		t.Errorf("the command runs on: %s, %v", stat, err)
	}
	if _, err := keys.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of the command", func() bool { return !alive(t, pid) })
}

// TestInterruptEndsScript: Ctrl-C ends the script around holdfast, not only the command.
func TestInterruptEndsScript(t *testing.T) {
	t.Parallel()
	keys, screen := onTerminal(t,
		`$holdfast lock `+fresh(t)+` -- sh -c 'echo ready; exec sleep 100'; echo went-on`)
	shown(t, screen, "ready")
	if _, err := keys.Write([]byte{'C' - '@'}); err != nil {
		t.Fatal(err)
	}
	if out := shown(t, screen, "went-on"); strings.Contains(out, "went-on") {
		t.Errorf("the script went on: %q", out)
	}
}

// TestTerminalBesideAPipe: a command with a pipe as its input can still read from the terminal, as
// programs do that ask for a password. This works with job control and without, where holdfast
// shares its group with the rest of the pipeline.
func TestTerminalBesideAPipe(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "set -m; "} {
		keys, screen := onTerminal(t, mode+`echo piped | $holdfast lock `+fresh(t)+
			` -- sh -c 'read a; echo "asks"; read b </dev/tty; echo "got $a and $b"; exit 3'; `+
			`echo "status $?"; read c; echo "then $c"`)
		shown(t, screen, "asks")
		if _, err := keys.WriteString("typed\n"); err != nil {
			t.Fatal(err)
		}
		if out := shown(t, screen, "status"); !strings.Contains(out, "got piped and typed") ||
			!strings.Contains(out, "status 3") {
			t.Fatalf("%q: %q", mode, out)
		}
		if _, err := keys.WriteString("more\n"); err != nil { // the shell has the terminal back
			t.Fatal(err)
		}
		if out := shown(t, screen, "then"); !strings.Contains(out, "then more") {
			t.Errorf("%q: %q", mode, out)
		}
	}
}
