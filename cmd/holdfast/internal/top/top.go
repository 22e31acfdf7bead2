// Package top shows the live picture of a [board.Board] in a terminal.
//
// # Limitations
//
// It needs a Unix system, and a terminal that knows the control sequences of xterm.
//
// # Concurrency
//
// [Frame] and [Run] may be called from several goroutines. One Run at a time may use a terminal.
package top

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/holdfast-go/holdfast/cmd/holdfast/internal/board"
)

// ErrNoTerminal is returned by [Run] when its input or output is not a terminal that can show it.
var ErrNoTerminal = errors.New("not a terminal")

// drawEvery is the time between two frames. Only the lines that have changed are written.
const drawEvery = 200 * time.Millisecond

// Check returns [ErrNoTerminal] unless Run can use the two files.
func Check(in, out *os.File) error {
	if !supported || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) ||
		os.Getenv("TERM") == "dumb" {
		return ErrNoTerminal
	}
	return nil
}

// Run shows the names of a board until q or Ctrl-C is typed, the terminal is gone, or ctx ends. The
// terminal is then as it was before. It returns [ErrNoTerminal] when in or out is not a terminal,
// and the error of the terminal when it fails.
func Run(ctx context.Context, b *board.Board, prefix string, in, out *os.File) (err error) {
	if err := Check(in, out); err != nil {
		return err
	}
	s, err := openScreen(in, out)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, s.close()) }() // also if drawing panics
	done := make(chan struct{})
	keys := readKeys(in, done)
	defer func() {
		close(done)
		for range keys { // until the reader has ended
		}
	}()
	signals, ignore := watchSignals()
	defer ignore()
	return show(ctx, b, prefix, s, keys, signals)
}

func show(
	ctx context.Context, b *board.Board, prefix string, s *screen, keys <-chan key,
	signals <-chan os.Signal,
) error {
	view := View{Prefix: prefix}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		if view.Width, view.Height, err = s.size(); err != nil {
			return err
		}
		view.Now = time.Now()
		if err := s.draw(Frame(b.Snapshot(), &view)); err != nil {
			return err
		}
		timer.Reset(drawEvery)
		select {
		case k, ok := <-keys:
			if !ok || k == quit {
				return nil
			}
			if k == suspend {
				if err := s.suspend(signals); err != nil {
					return err
				}
			}
			view.scroll(k)
		case sig := <-signals:
			s.drawn = nil
			if continued(sig) {
				if err := s.resume(); err != nil {
					return err
				}
			}
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (v *View) scroll(k key) {
	page := max(1, v.Height/2)
	switch k {
	case quit, suspend: // Run does them
	case up:
		v.First--
	case down:
		v.First++
	case pageUp:
		v.First -= page
	case pageDown:
		v.First += page
	}
}
