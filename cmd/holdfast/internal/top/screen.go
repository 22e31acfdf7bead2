package top

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// The control sequences of a terminal. Lines do not wrap, so that a character whose width is not
// known cannot move the lines below.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
	clearScreen = "\x1b[2J"
	clearLine   = "\x1b[K"
)

var styles = map[Style]string{Plain: "\x1b[0m", Heading: "\x1b[7m", Alarm: "\x1b[1;31m"}

// screen is a terminal in raw mode that shows frames on its alternate screen.
type screen struct {
	in, out *os.File
	before  *term.State
	drawn   []Line // the last frame; nil if the terminal must be cleared
}

// openScreen returns an error if in or out is not a terminal.
func openScreen(in, out *os.File) (*screen, error) {
	s := &screen{in: in, out: out}
	var err error
	if s.before, err = term.MakeRaw(int(in.Fd())); err != nil {
		return nil, err
	}
	if _, err = io.WriteString(out, enterScreen); err != nil {
		return nil, cmp.Or(err, s.close())
	}
	return s, nil
}

// close leaves the terminal as it was.
func (s *screen) close() error {
	_, err := io.WriteString(s.out, leaveScreen)
	return cmp.Or(err, term.Restore(int(s.in.Fd()), s.before))
}

// resume takes the terminal again after the process was stopped.
func (s *screen) resume() error {
	if _, err := term.MakeRaw(int(s.in.Fd())); err != nil {
		return err
	}
	s.drawn = nil
	_, err := io.WriteString(s.out, enterScreen)
	return err
}

// suspend leaves the terminal as it was while the process is stopped.
func (s *screen) suspend(signals <-chan os.Signal) error {
	if err := s.close(); err != nil {
		return err
	}
	stop(signals)
	return s.resume()
}

func (s *screen) size() (width, height int, err error) { return term.GetSize(int(s.out.Fd())) }

// draw shows a frame. It writes only the lines that differ from the last frame.
func (s *screen) draw(frame []Line) error {
	var out strings.Builder
	if len(s.drawn) != len(frame) {
		out.WriteString(styles[Plain] + clearScreen)
		s.drawn = make([]Line, len(frame))
	}
	for i, line := range frame {
		if line == s.drawn[i] {
			continue
		}
		fmt.Fprintf(&out, "\x1b[%d;1H%s%s%s%s", i+1, styles[line.Style], line.Text, styles[Plain],
			clearLine)
	}
	copy(s.drawn, frame)
	if out.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(s.out, out.String())
	return err
}
