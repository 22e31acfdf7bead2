package etcdjson

import (
	"encoding/base64"
	"strconv"
)

// Writer writes requests about keys, with the JSON that encoding/json would write. Write a
// transaction with Begin, its lists, and End, and an operation in a list with BeginOp, its method,
// and End. A Writer is not safe for concurrent use.
type Writer struct{ b []byte }

// opSize is about the size of an operation with its comparison.
const opSize = 192

// NewWriter returns a writer with a buffer for so many operations. It grows when it is full.
func NewWriter(ops int) *Writer { return &Writer{b: make([]byte, 0, opSize*ops)} }

// Text returns the written request.
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

// text writes a string as bytes.
func (w *Writer) text(name, text string) { w.bytes(name, []byte(text)) }

func (w *Writer) int(name string, n int64) {
	if n != 0 {
		w.name(name)
		w.b = append(strconv.AppendInt(append(w.b, '"'), n, 10), `",`...)
	}
}

// plain writes a string that needs no escapes.
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
