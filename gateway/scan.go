package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// scanner reads JSON from front to back, without reflection: what comes with every lock, queue item and event is read
// with it. After the first fault, which is kept, it gives zero values.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   error

	buf []byte // decoded text that need not be kept
}

// maxDepth bounds how deep values are nested.
const maxDepth = 1000

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("byte %d: %s", s.i, what)
	}
}

// peek gives the first byte of what comes next, 0 if nothing does.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) accept(c byte) bool {
	if s.err != nil || s.peek() != c {
		return false
	}
	s.i++
	return true
}

func (s *scanner) expect(c byte) {
	if s.accept(c) || s.err != nil {
		return
	}
	found := "something else"
	switch s.peek() {
	case 0:
		found = "an unexpected end"
	case '{':
		found = "an object"
	case '[':
		found = "an array"
	case '"':
		found = "a string"
	}
	s.fail(fmt.Sprintf("%q expected, not %s", c, found))
}

// word takes a word of the language.
func (s *scanner) word(w string) bool {
	if s.err != nil || s.peek() != w[0] || len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scanner) null() bool { return s.word("null") }

// end fails if anything follows.
func (s *scanner) end() error {
	if s.peek(); s.i < len(s.b) {
		s.fail("something behind the end")
	}
	return s.err
}

// list calls item for each element of a list, which must read it.
func (s *scanner) list(item func()) { s.nested('[', ']', item) }

// object calls field for each field of an object, which must read its value. Names are bytes since a string would have to
// be made for each.
func (s *scanner) object(field func(name []byte)) {
	s.nested('{', '}', func() {
		name := s.text()
		s.expect(':')
		if s.err == nil {
			field(name)
		}
	})
}

func (s *scanner) nested(open, shut byte, item func()) {
	if s.null() {
		return
	}
	s.expect(open)
	if s.depth++; s.depth > maxDepth {
		s.fail("nested too deep")
	}
	for more := !s.accept(shut); more && s.err == nil; more = s.accept(',') {
		item()
		if s.err == nil && s.peek() != ',' {
			s.expect(shut)
			break
		}
	}
	s.depth--
}

// text is what a string says; not to be kept.
func (s *scanner) text() []byte {
	s.expect('"')
	begin := s.i
	for escaped := false; s.err == nil && s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"' && !escaped:
			s.i++
			return s.b[begin : s.i-1]
		case c == '"': // as rare as it is slow
			s.i++
			var text string
			if json.Unmarshal(s.b[begin-1:s.i], &text) != nil {
				s.fail("bad escape")
			}
			return []byte(text)
		case c == '\\':
			escaped = true
			s.i++
		case c < ' ':
			s.fail("control character")
		}
	}
	s.fail("endless string")
	return nil
}

// number takes a number as it is written.
func (s *scanner) number() []byte {
	s.peek()
	begin := s.i
	for s.i < len(s.b) && (s.b[s.i] >= '0' && s.b[s.i] <= '9' || strings.IndexByte("-+.eE", s.b[s.i]) >= 0) {
		s.i++
	}
	if !json.Valid(s.b[begin:s.i]) {
		s.fail("no value")
	}
	return s.b[begin:s.i]
}

// digits takes a number, which may come as a string.
func (s *scanner) digits() []byte {
	if s.peek() == '"' {
		return s.text()
	}
	return s.number()
}

func (s *scanner) int() int64 {
	if s.err != nil || s.null() {
		return 0
	}
	n, err := strconv.ParseInt(string(s.digits()), 10, 64)
	if err != nil {
		s.fail("integer: " + errors.Unwrap(err).Error())
	}
	return n
}

func (s *scanner) uint() uint64 {
	if s.err != nil || s.null() {
		return 0
	}
	n, err := strconv.ParseUint(string(s.digits()), 10, 64)
	if err != nil {
		s.fail("integer: " + errors.Unwrap(err).Error())
	}
	return n
}

func (s *scanner) bool() bool {
	switch {
	case s.word("true"):
		return true
	case !s.word("false") && !s.null():
		s.fail("true or false expected")
	}
	return false
}

// string is a text to keep, "" for none.
func (s *scanner) string() string {
	if s.null() {
		return ""
	}
	return string(s.text())
}

// bytes gives bytes in base64 of either alphabet, padded or not; valid until the next.
func (s *scanner) bytes() []byte {
	if s.null() {
		return nil
	}
	text := s.text()
	for _, enc := range alphabets {
		var err error
		if s.buf, err = enc.AppendDecode(s.buf[:0], text); err == nil {
			return s.buf
		}
	}
	s.fail("base64 expected")
	return nil
}

var alphabets = []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding}

// skip passes over a value of any kind.
func (s *scanner) skip() {
	if s.err != nil {
		return
	}
	switch s.peek() {
	case '{':
		s.object(func([]byte) { s.skip() })
	case '[':
		s.list(s.skip)
	case '"':
		s.text()
	default:
		if !s.word("true") && !s.word("false") && !s.null() {
			s.number()
		}
	}
}
