package cli_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/holdfast-go/holdfast/mutex"
)

// emulator is as much of a terminal as holdfast top uses. A sequence that it does not know is an
// error.
type emulator struct {
	mu        sync.Mutex
	rows      []string // of the alternate screen
	main      string   // the text outside of it
	row       int
	alternate bool
	cursor    bool
	wrap      bool
	unknown   string
	ended     chan struct{} // closed when all processes have left the terminal
}

// emulate follows the output of a terminal.
func emulate(screen *bufio.Reader) *emulator {
	e := &emulator{cursor: true, wrap: true, ended: make(chan struct{})}
	go func() {
		defer close(e.ended)
		for {
			r, _, err := screen.ReadRune()
			if err != nil {
				return
			}
			sequence := ""
			if r == '\x1b' {
				sequence = readSequence(screen)
			}
			e.mu.Lock()
			e.apply(r, sequence)
			e.mu.Unlock()
		}
	}()
	return e
}

// readSequence reads the rest of a control sequence: "[", parameters, and a letter.
func readSequence(screen *bufio.Reader) string {
	out := ""
	for {
		b, err := screen.ReadByte()
		if err != nil {
			return out
		}
		out += string(b)
		if b >= '@' && b != '[' {
			return out
		}
	}
}

func (e *emulator) apply(r rune, sequence string) {
	at := func(row int) *string {
		for len(e.rows) <= row {
			e.rows = append(e.rows, "")
		}
		return &e.rows[row]
	}
	switch {
	case sequence == "" && !e.alternate:
		e.main += string(r)
	case sequence == "":
		*at(e.row) += string(r)
	case sequence == "[?1049h":
		e.alternate, e.rows = true, nil
	case sequence == "[?1049l":
		e.alternate = false
	case sequence == "[?25h", sequence == "[?25l":
		e.cursor = sequence == "[?25h"
	case sequence == "[?7h", sequence == "[?7l":
		e.wrap = sequence == "[?7h"
	case sequence == "[2J":
		e.rows = nil
	case sequence == "[K", strings.HasSuffix(sequence, "m"):
	case strings.HasSuffix(sequence, ";1H"):
		if _, err := fmt.Sscanf(sequence, "[%d;1H", &e.row); err != nil || e.row < 1 {
			e.unknown += sequence
		}
		e.row--
		*at(e.row) = "" // the program writes whole lines
	case !e.alternate && strings.HasPrefix(sequence, "[?2004"): // bash's own
	default:
		e.unknown += sequence + " "
	}
}

// shows reports whether the screen has so many rows, none wider than it, with the help in the last
// one, and contains the texts.
func (e *emulator) shows(width, height int, texts ...string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.alternate || e.cursor || len(e.rows) != height ||
		!strings.Contains(e.rows[height-1], "q quits") ||
		utf8.RuneCountInString(e.rows[0]) != width {
		return false
	}
	for _, row := range e.rows {
		if utf8.RuneCountInString(row) > width {
			return false
		}
	}
	all := strings.Join(e.rows, "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			return false
		}
	}
	return true
}

func (e *emulator) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprintf("alternate %v, cursor %v, unknown %q\n%s\n--\n%s", e.alternate, e.cursor,
		e.unknown, strings.Join(e.rows, "\n"), e.main)
}

// resize changes the size of a terminal, which the kernel reports to the processes in front.
func resize(t *testing.T, master *os.File, width, height int) {
	t.Helper()
	size := [4]uint16{uint16(height), uint16(width)}
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), syscall.TIOCSWINSZ,
		uintptr(unsafe.Pointer(&size))); e != 0 {
		t.Fatal(e)
	}
}

// await waits until the terminal is in a state, and prints the screen if it never is.
func (e *emulator) await(t *testing.T, what string, state func() bool) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%s: %v", what, e)
		}
	}()
	eventually(t, what, state)
}

// TestTopShowsTheNamesInATerminalOfAnySize: top fills terminals of 80 by 24 and of 200 by 60,
// follows the changes of the size and of the holders, and leaves the terminal as it was after q,
// Ctrl-C and SIGTERM.
func TestTopShowsTheNamesInATerminalOfAnySize(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(keys *os.File, pid int) error{
		"q":       func(keys *os.File, _ int) error { _, err := keys.WriteString("q"); return err },
		"Ctrl-C":  func(keys *os.File, _ int) error { _, err := keys.WriteString("\x03"); return err },
		"SIGTERM": func(_ *os.File, pid int) error { return syscall.Kill(pid, syscall.SIGTERM) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, patience)
			a, b := newSession(t), newSession(t)
			name := "top-" + a.Lease().String() // short, because a row must show it
			held, err := mutex.New(a, name+"/job", nil).Lock(ctx)
			if err != nil {
				t.Fatal(err)
			}
			next := make(chan error, 1)
			go func() { _, err := mutex.New(b, name+"/job", nil).Lock(ctx); next <- err }()
			keys, screen := onTerminal(t, `stty rows 24 cols 80; stty -a | grep -v speed; echo "--"; `+
				`sh -c 'echo "pid $$."; exec $holdfast top `+name+`'; echo "status $?"; `+
				`stty -a | grep -v speed; echo "end"; read x`)
			e := emulate(screen)
			e.await(t, "the frame", func() bool {
				return e.shows(80, 24, name+"/job", "1 waiting")
			})
			resize(t, keys, 200, 60)
			e.await(t, "the large frame", func() bool {
				return e.shows(200, 60, name+"/job", "lock", "1 waiting")
			})
			resize(t, keys, 80, 24)
			e.await(t, "the small frame", func() bool { return e.shows(80, 24, "1 waiting") })
			if err := held.Unlock(ctx); err != nil {
				t.Error(err)
			}
			if err := <-next; err != nil {
				t.Error(err)
			}
			e.await(t, "the hand-over", func() bool { return e.shows(80, 24, "0 waiting") })
			e.mu.Lock()
			text := e.main
			e.mu.Unlock()
			var pid int
			_, text, _ = strings.Cut(text, "pid ")
			if _, err := fmt.Sscanf(text, "%d.", &pid); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := end(keys, pid); err != nil {
				t.Fatal(err)
			}
			e.await(t, "the end", func() bool {
				e.mu.Lock()
				defer e.mu.Unlock()
				return strings.Contains(e.main, "end\r\n")
			})
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it ended after %v", took)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.alternate || !e.cursor || !e.wrap || e.unknown != "" {
				t.Errorf("alternate screen %v, cursor %v, wrap %v, unknown %q", e.alternate, e.cursor,
					e.wrap, e.unknown)
			}
			before, rest, _ := strings.Cut(e.main, "--\r\n")
			_, rest, ok := strings.Cut(rest, "status 0\r\n")
			after, _, _ := strings.Cut(rest, "end\r\n")
			if !ok || before != after || !strings.Contains(before, "icanon") {
				t.Errorf("before:\n%s\nafter:\n%s\nall:\n%s", before, after, e.main)
			}
			if _, err := keys.WriteString("\n"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTopIsStoppedByCtrlZ: the terminal is as it was while top is stopped, and has the frame again
// when the shell continues it. Where no shell can continue it, top goes on.
func TestTopIsStoppedByCtrlZ(t *testing.T) {
	t.Parallel()
	for how, control := range map[string]string{"with a shell": "set -m", "without": "set +m"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			keys, screen := onTerminal(t,
				control+`; stty rows 24 cols 80; stty -a | grep -v speed; echo "--"; `+
					`$holdfast top `+name+`; echo "status $?"; stty -a | grep -v speed; echo "end"; read x; `+
					`fg; echo "status $?"; echo "all"; read x`)
			e := emulate(screen)
			typed := func(text string) {
				t.Helper()
				if _, err := keys.WriteString(text); err != nil {
					t.Fatal(err)
				}
			}
			printed := func(text string) bool {
				e.mu.Lock()
				defer e.mu.Unlock()
				return strings.Contains(e.main, text)
			}
			frame := func() bool { return e.shows(80, 24, "names 0-0 of 0") }
			e.await(t, "the frame", frame)
			typed("\x1a")
			if how == "with a shell" {
				e.await(t, "the stop", func() bool { return printed("end\r\n") && printed("status 148\r\n") })
				e.mu.Lock()
				before, rest, _ := strings.Cut(e.main, "--\r\n")
				_, rest, ok := strings.Cut(rest, "status 148\r\n")
				after, _, _ := strings.Cut(rest, "end\r\n")
				if !ok || before != after || e.alternate || !e.cursor || !e.wrap {
					t.Errorf("before:\n%s\nafter:\n%s\nall:\n%s", before, after, e.main)
				}
				e.rows = nil
				e.mu.Unlock()
				typed("\n")
				e.await(t, "the frame again", frame)
			}
			typed("q")
			e.await(t, "the end", func() bool { return printed("status 0\r\n") })
			typed("\n\n")
			e.await(t, "the end of the script", func() bool { return printed("all\r\n") })
		})
	}
}

// TestTopNeedsATerminal: without one, top says so.
func TestTopNeedsATerminal(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"top"}, {"top", "jobs/"}} {
		if text := complain(t, 64, args...); !strings.Contains(text, "needs a terminal") ||
			!strings.Contains(text, "holdfast ls") {
			t.Errorf("%v: %s", args, text)
		}
	}
	r := start(t, "--json", "top")
	r.want(64)
	if text := r.stderr.String(); !strings.Contains(text, "needs a terminal") {
		t.Error(text)
	}
}
