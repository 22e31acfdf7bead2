package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// stdout is the standard output. An error of a write ends the verb, because a verb whose result
// nobody received is not done.
var stdout io.Writer = output{}

type output struct{}

func (output) Write(p []byte) (int, error) {
	n, err := os.Stdout.Write(p)
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// outputError marks an error of the standard output, because a broken connection to etcd returns
// EPIPE too.
type outputError struct{ err error }

func (e *outputError) Error() string { return e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// unread reports whether the reader of the output has closed it.
func unread(err error) bool {
	out, ok := errors.AsType[*outputError](err)
	return ok && errors.Is(out, syscall.EPIPE)
}

// printJSON prints one value on one line.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table prints rows for people. The first row is the heading.
func table(rows ...[]string) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = clean(cell)
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// clean quotes a text from etcd that could move the cursor or hide a line.
func clean(s string) string {
	if utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}

// value returns a payload as JSON: a string if it is text.
func value(b []byte) map[string]any {
	if utf8.Valid(b) {
		return map[string]any{"value": string(b)}
	}
	return map[string]any{"value_base64": b}
}
