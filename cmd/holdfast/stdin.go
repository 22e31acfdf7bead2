package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/holdfast-go/holdfast/queue"
)

// unblocked returns what fn returns, or the cause of ctx when that ends first. Nothing ends a read from a pipe or a terminal,
// nor a write into a pipe that is full: fn is left behind then, and ends with the process, which is about to exit.
func unblocked[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := fn()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// readValue reads the standard input to its end, which must come before an item would be too large.
func readValue(ctx context.Context) ([]byte, error) {
	return unblocked(ctx, func() ([]byte, error) {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, queue.MaxValue+1))
		if err == nil && len(text) > queue.MaxValue {
			return nil, usagef("the standard input is longer than an item can be, %d bytes; to put each line type --lines", queue.MaxValue)
		}
		return text, err
	})
}

// The most that one batch of lines has: what one transaction of the queue takes. A single line may be longer.
const (
	batchLines = 100
	batchBytes = 512 << 10
)

// batch is some lines of the input, and what has ended it behind them.
type batch struct {
	lines [][]byte
	size  int
	err   error // io.EOF at the end
}

func (b *batch) full(most int, next []byte) bool {
	return len(b.lines) >= most || len(b.lines) > 0 && b.size+len(next) > batchBytes
}

// readLines reads lines in the background until ctx ends, in batches of no more than most. A batch grows as long as nobody
// takes it: a slow input is passed on line by line, a fast one in full batches, of which two are kept. The last batch has an
// error.
func readLines(ctx context.Context, in io.Reader, most int) <-chan *batch {
	out := make(chan *batch, 1) // to which only the goroutine sends
	go func() {
		r := bufio.NewReaderSize(in, 64<<10)
		for number := 1; ; number++ {
			line, err := readLine(r)
			if errors.Is(err, bufio.ErrTooLong) {
				err = usagef("line %d is longer than an item can be, %d bytes", number, queue.MaxValue)
			}
			b := &batch{}
			select {
			case b = <-out:
			default:
			}
			if line != nil && b.full(most, line) {
				out <- b // there is room, since it was taken from there
				b = &batch{}
			}
			if line != nil {
				b.lines, b.size = append(b.lines, line), b.size+len(line)
			}
			b.err = err
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// readLine reads one line, without what ends it; nil if there is none.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(part) > 0 && line == nil {
			line = []byte{}
		}
		if err == nil {
			part = part[:len(part)-1]
		}
		if line = append(line, part...); len(line) > queue.MaxValue {
			return nil, bufio.ErrTooLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// partError is the error of a put of which a part was done.
type partError struct {
	err   error
	put   int // items that are in the queue
	maybe int // those behind them that may be
}

func (e *partError) Error() string { return e.err.Error() + e.note() }
func (e *partError) Unwrap() error { return e.err }

// note says how much was done.
func (e *partError) note() string {
	text := fmt.Sprintf("; items put: %d, the first of the input", e.put)
	if e.maybe > 0 {
		text += fmt.Sprintf(", and perhaps the %d behind them", e.maybe)
	}
	return text
}
