package etcdjson

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Reader reads one answer from front to back, without reflection, because every lock, queue item
// and event needs one. After the first fault, which [Reader.End] returns, its methods read zero
// values. The zero Reader has an empty answer. A Reader is not safe for concurrent use.
type Reader struct {
	b      []byte
	i      int
	depth  int
	prefix int
	err    error

	buf []byte // the last decoded bytes
}

// NewReader returns a reader of one answer. It removes the first prefix bytes, the namespace, from
// each key.
func NewReader(answer []byte, prefix int) Reader { return Reader{b: answer, prefix: prefix} }

// Check makes err the fault, unless there was one before.
func (r *Reader) Check(err error) {
	if r.err == nil {
		r.err = err
	}
}

// End returns the first fault, or nil. Unread text behind the answer is a fault.
func (r *Reader) End() error {
	if r.peek(); r.i < len(r.b) {
		r.fail("something behind the end")
	}
	return r.err
}

// maxDepth is the largest depth of nested values.
const maxDepth = 1000

func (r *Reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: %s", r.i, what)
	}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (r *Reader) peek() byte {
	for ; r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (r *Reader) accept(c byte) bool {
	if r.err != nil || r.peek() != c {
		return false
	}
	r.i++
	return true
}

func (r *Reader) expect(c byte) {
	if r.accept(c) || r.err != nil {
		return
	}
	found := "something else"
	switch r.peek() {
	case 0:
		found = "an unexpected end"
	case '{':
		found = "an object"
	case '[':
		found = "an array"
	case '"':
		found = "a string"
	}
	r.fail(fmt.Sprintf("%q expected, not %s", c, found))
}

// word reads a keyword of JSON if it is next, and reports whether it was.
func (r *Reader) word(w string) bool {
	if r.err != nil || r.peek() != w[0] ||
		len(r.b)-r.i < len(w) || string(r.b[r.i:r.i+len(w)]) != w {
		return false
	}
	r.i += len(w)
	return true
}

func (r *Reader) null() bool { return r.word("null") }

// list calls item for each element of a list, which must read it.
func (r *Reader) list(item func()) { r.nested('[', ']', item) }

// object calls field for each field of an object, which must read its value. Names are bytes
// because a string would be allocated for each.
func (r *Reader) object(field func(name []byte)) {
	r.nested('{', '}', func() {
		name := r.text()
		r.expect(':')
		if r.err == nil {
			field(name)
		}
	})
}

func (r *Reader) nested(open, shut byte, item func()) {
	if r.null() {
		return
	}
	r.expect(open)
	if r.depth++; r.depth > maxDepth {
		r.fail("nested too deep")
	}
	for more := !r.accept(shut); more && r.err == nil; more = r.accept(',') {
		item()
		if r.err == nil && r.peek() != ',' {
			r.expect(shut)
			break
		}
	}
	r.depth--
}

// text reads a string. The caller must not keep the bytes, because they may belong to the answer.
func (r *Reader) text() []byte {
	r.expect('"')
	begin := r.i
	for escaped := false; r.err == nil && r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; {
		case c == '"' && !escaped:
			r.i++
			return r.b[begin : r.i-1]
		case c == '"': // slow, but escapes are rare
			r.i++
			var text string
			if json.Unmarshal(r.b[begin-1:r.i], &text) != nil {
				r.fail("bad escape")
			}
			return []byte(text)
		case c == '\\':
			escaped = true
			r.i++
		case c < ' ':
			r.fail("control character")
		}
	}
	r.fail("endless string")
	return nil
}

// number reads a number and returns its text.
func (r *Reader) number() []byte {
	r.peek()
	begin := r.i
	for r.i < len(r.b) && (r.b[r.i] >= '0' && r.b[r.i] <= '9' ||
		strings.IndexByte("-+.eE", r.b[r.i]) >= 0) {
		r.i++
	}
	if !json.Valid(r.b[begin:r.i]) {
		r.fail("no value")
	}
	return r.b[begin:r.i]
}

// digits reads a number, or a string with a number in it, and returns its text.
func (r *Reader) digits() []byte {
	if r.peek() == '"' {
		return r.text()
	}
	return r.number()
}

func (r *Reader) int() int64 {
	if r.err != nil || r.null() {
		return 0
	}
	n, err := strconv.ParseInt(string(r.digits()), 10, 64)
	if err != nil {
		r.fail("integer: " + errors.Unwrap(err).Error())
	}
	return n
}

func (r *Reader) uint() uint64 {
	if r.err != nil || r.null() {
		return 0
	}
	n, err := strconv.ParseUint(string(r.digits()), 10, 64)
	if err != nil {
		r.fail("integer: " + errors.Unwrap(err).Error())
	}
	return n
}

func (r *Reader) bool() bool {
	switch {
	case r.word("true"):
		return true
	case !r.word("false") && !r.null():
		r.fail("true or false expected")
	}
	return false
}

// string reads a string, or null as "".
func (r *Reader) string() string {
	if r.null() {
		return ""
	}
	return string(r.text())
}

// bytes reads base64 of either alphabet, padded or not. The result is valid until the next call.
func (r *Reader) bytes() []byte {
	if r.null() {
		return nil
	}
	text := r.text()
	for _, enc := range alphabets {
		var err error
		if r.buf, err = enc.AppendDecode(r.buf[:0], text); err == nil {
			return r.buf
		}
	}
	r.fail("base64 expected")
	return nil
}

var alphabets = []*base64.Encoding{
	base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding,
}

// skip reads a value of any kind and discards it.
func (r *Reader) skip() {
	if r.err != nil {
		return
	}
	switch r.peek() {
	case '{':
		r.object(func([]byte) { r.skip() })
	case '[':
		r.list(r.skip)
	case '"':
		r.text()
	default:
		if !r.word("true") && !r.word("false") && !r.null() {
			r.number()
		}
	}
}
