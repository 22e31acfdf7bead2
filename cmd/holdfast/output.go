package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// printJSON prints one value on one line.
func printJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // to a pipe that is closed, nothing more can be said
}

// table prints rows for people: the first is the heading.
func table(rows ...[]string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = clean(cell)
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
}

// clean keeps what others have put into etcd from moving the cursor or hiding a line.
func clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}

// value is a payload in JSON: as a string if it is text.
func value(b []byte) map[string]any {
	if utf8.Valid(b) {
		return map[string]any{"value": string(b)}
	}
	return map[string]any{"value_base64": b}
}
