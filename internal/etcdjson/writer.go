package etcdjson

import (
	"encoding/base64"
	"strconv"
)

// Writer writes requests about keys: the JSON that encoding/json would make of them. A transaction
// is its lists between Begin and End; an operation in a list stands between BeginOp and End. It is
// not safe for concurrent use.
type Writer struct{ b []byte }

// opSize is what an operation takes up, about, with the compare that goes with it.
const opSize = 192

// NewWriter returns a writer with room for so many operations.
func NewWriter(ops int) *Writer { return &Writer{b: make([]byte, 0, opSize*ops)} }

// Text returns the whole.
func (w *Writer) Text() []byte { return w.b[:len(w.b)-1] }

// Begin begins a transaction.
func (w *Writer) Begin() { w.b = append(w.b, '{') }

// End ends a transaction, or an operation in one.
func (w *Writer) End() { w.end('}') }

// BeginList begins a list of a transaction: [Compares], [Success] or [Failure].
func (w *Writer) BeginList(name string) {
	w.name(name)
	w.b = append(w.b, '[')
}

// EndList ends a list of a transaction.
func (w *Writer) EndList() { w.end(']') }

func (w *Writer) end(c byte) {
	if last := len(w.b) - 1; w.b[last] == ',' {
		w.b = w.b[:last]
	}
	w.b = append(w.b, c, ',')
}

func (w *Writer) name(name string) {
	w.b = append(append(append(w.b, '"'), name...), `":`...)
}

func (w *Writer) bytes(name string, b []byte) {
	if len(b) > 0 {
		w.name(name)
		w.b = append(base64.StdEncoding.AppendEncode(append(w.b, '"'), b), `",`...)
	}
}

// text writes bytes that are kept as a string.
func (w *Writer) text(name, text string) { w.bytes(name, []byte(text)) }

func (w *Writer) int(name string, n int64) {
	if n != 0 {
		w.name(name)
		w.b = append(strconv.AppendInt(append(w.b, '"'), n, 10), `",`...)
	}
}

// plain writes a text that has nothing to escape.
func (w *Writer) plain(name, text string) {
	if text != "" {
		w.name(name)
		w.b = append(append(append(w.b, '"'), text...), `",`...)
	}
}

func (w *Writer) bool(name string, v bool) {
	if v {
		w.name(name)
		w.b = append(w.b, "true,"...)
	}
}
