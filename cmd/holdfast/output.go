package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
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

// helpOutput is the standard output of the help, the version and the completions. It keeps the
// first error of a write, because cobra prints such an error and then returns nil.
type helpOutput struct{ err error }

func (h *helpOutput) Write(p []byte) (int, error) {
	if h.err == nil {
		_, h.err = stdout.Write(p)
	}
	return len(p), nil
}

// outputError marks an error of the standard output, because a broken connection to etcd returns
// EPIPE too.
type outputError struct{ err error }

func (e *outputError) Error() string { return e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// outputClosed reports whether the reader of the output has closed it.
func outputClosed(err error) bool {
	out, ok := errors.AsType[*outputError](err)
	return ok && slices.ContainsFunc(brokenPipes, func(broken syscall.Errno) bool {
		return errors.Is(out, broken)
	})
}

// printJSON prints one value on one line.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// print prints one result: the object with --json, else the text on a line.
func (a *app) print(object any, text string) error {
	if a.json {
		return printJSON(stdout, object)
	}
	_, err := fmt.Fprintln(stdout, text)
	return err
}

// table prints results in rows: objects with --json, else cells under a heading.
type table struct {
	json bool
	rows [][]string
	err  error // the first error of the output
}

func (a *app) table(heading ...string) *table {
	return &table{json: a.json, rows: [][]string{heading}}
}

// add adds a row. With --json it prints the object at once.
func (t *table) add(object any, cells ...string) {
	switch {
	case !t.json:
		for i, cell := range cells {
			cells[i] = clean(cell)
		}
		t.rows = append(t.rows, cells)
	case t.err == nil:
		t.err = printJSON(stdout, object)
	}
}

// flush prints the rows that add has collected. It returns the first error of the output.
func (t *table) flush() error {
	if t.json {
		return t.err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, row := range t.rows {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")) // Flush returns the error
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

// withValue adds a payload to an object: as a string if it is text.
func withValue(object map[string]any, payload []byte) map[string]any {
	if utf8.Valid(payload) {
		object["value"] = string(payload)
	} else {
		object["value_base64"] = payload
	}
	return object
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// stamp formats a time for people.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// maxBrief is the number of bytes of a value that a table shows.
const maxBrief = 60

// brief returns the beginning of a value.
func brief(value []byte) string {
	if len(value) <= maxBrief {
		return string(value)
	}
	n := maxBrief
	for n > maxBrief-utf8.UTFMax && !utf8.RuneStart(value[n]) {
		n--
	}
	return string(value[:n]) + "…"
}
