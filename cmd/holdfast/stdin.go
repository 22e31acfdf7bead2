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

// unblocked returns the result of fn, or the cause of ctx if that ends first. Nothing can end a
// read from a pipe or a terminal, or a write to a full pipe: then fn runs until the process exits,
// which is soon.
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

// readValue reads the standard input to its end. It returns an error if the input is larger than an
// item can be.
func readValue(ctx context.Context) ([]byte, error) {
	return unblocked(ctx, func() ([]byte, error) {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, queue.MaxValue+1))
		if err == nil && len(text) > queue.MaxValue {
			return nil, usagef("the standard input is longer than an item can be, %d bytes; "+
				"to put each line type --lines", queue.MaxValue)
		}
		return text, err
	})
}

// The limits of a batch, which fits in one transaction of the queue. A single line may be longer.
const (
	batchLines = 100
	batchBytes = 512 << 10
)

// batch is a number of lines of the input, and the error after them.
type batch struct {
	lines [][]byte
	size  int
	err   error // io.EOF at the end
}

func (b *batch) full(most int, next []byte) bool {
	return len(b.lines) >= most || len(b.lines) > 0 && b.size+len(next) > batchBytes
}

// readLines reads lines in the background until ctx ends, in batches of at most most lines. A batch
// grows until it is received, so a slow input is passed on line by line and a fast one in full
// batches, of which two are kept. The last batch has an error.
func readLines(ctx context.Context, in io.Reader, most int) <-chan *batch {
	out := make(chan *batch, 1) // only the goroutine sends
	go func() {
		r := bufio.NewReaderSize(in, 64<<10)
		for number := 1; ; number++ {
			line, err := readLine(r)
			if errors.Is(err, bufio.ErrTooLong) {
				err = usagef("line %d is longer than an item can be, %d bytes",
					number, queue.MaxValue)
			}
			b := &batch{}
			select {
			case b = <-out:
			default:
			}
			if line != nil && b.full(most, line) {
				out <- b // there is room, because b was received from out
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

// readLine reads one line and returns it without its end. It returns nil if there is none.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(part) > 0 && line == nil {
			line = []byte{}
		}
		if err == nil {
			part = part[:len(part)-1]
		}
		line = append(line, part...)
		if len(line) > queue.MaxValue {
			return nil, bufio.ErrTooLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// partError is the error of a put that was done in part.
type partError struct {
	err   error
	put   int // number of items in the queue
	maybe int // number of items after them that may be in the queue
}

func (e *partError) Error() string { return e.err.Error() + e.note() }
func (e *partError) Unwrap() error { return e.err }

// note returns a text that says how much was put.
func (e *partError) note() string {
	text := fmt.Sprintf("; items put: %d, the first of the input", e.put)
	if e.maybe > 0 {
		text += fmt.Sprintf(", and perhaps the %d behind them", e.maybe)
	}
	return text
}
