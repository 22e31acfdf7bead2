package etcdjson

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Reader reads answers from front to back, without reflection, because they come with every lock,
// queue item and event. After the first fault, which it keeps, it returns zero values. The zero
// Reader reads nothing; it is not safe for concurrent use.
type Reader struct {
	b      []byte
	i      int
	depth  int
	prefix int
	err    error

	buf []byte // decoded text that need not be kept
}

// NewReader returns a reader of one answer. Each key loses so many bytes at its front, those of the
// namespace.
func NewReader(answer []byte, prefix int) Reader { return Reader{b: answer, prefix: prefix} }

// Check makes err the fault, unless there was one before.
func (r *Reader) Check(err error) {
	if r.err == nil {
		r.err = err
	}
}

// End returns the first fault, which also is one if anything follows what was read.
func (r *Reader) End() error {
	if r.peek(); r.i < len(r.b) {
		r.fail("something behind the end")
	}
	return r.err
}

// maxDepth bounds how deep values are nested.
const maxDepth = 1000

func (r *Reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: %s", r.i, what)
	}
}

// peek gives the first byte of what comes next, 0 if nothing does.
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

// word takes a word of the language.
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

// object calls field for each field of an object, which must read its value. Names are bytes since
// a string would have to be made for each.
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

// text is what a string says; not to be kept.
func (r *Reader) text() []byte {
	r.expect('"')
	begin := r.i
	for escaped := false; r.err == nil && r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; {
		case c == '"' && !escaped:
			r.i++
			return r.b[begin : r.i-1]
		case c == '"': // as rare as it is slow
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

// number takes a number as it is written.
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

// digits takes a number, which may come as a string.
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

// string is a text to keep, "" for none.
func (r *Reader) string() string {
	if r.null() {
		return ""
	}
	return string(r.text())
}

// bytes gives bytes in base64 of either alphabet, padded or not; valid until the next.
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

// skip passes over a value of any kind.
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
