package etcdjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The scalars of the answers that encoding/json reads.

// Int64 is a 64-bit integer that is a JSON string or a JSON number.
type Int64 int64

// UnmarshalJSON reads a JSON string or a JSON number.
func (n *Int64) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	v, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("integer: %w", errors.Unwrap(err))
	}
	*n = Int64(v)
	return nil
}

// Uint64 is the ID of a cluster or a member, which may be larger than any int64.
type Uint64 uint64

// UnmarshalJSON reads a JSON string or a JSON number.
func (n *Uint64) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	v, err := strconv.ParseUint(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("identity: %w", errors.Unwrap(err))
	}
	*n = Uint64(v)
	return nil
}

// Bytes is bytes in base64 of either alphabet, padded or not.
type Bytes []byte

// UnmarshalJSON reads base64 of either alphabet, padded or not.
func (v *Bytes) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if len(b) < 2 || b[0] != '"' {
		return errors.New("base64 expected")
	}
	var s string
	if bytes.IndexByte(b, '\\') >= 0 { // "\/" and the like
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	} else {
		s = string(b[1 : len(b)-1])
	}
	var err error
	for _, enc := range alphabets {
		var d []byte
		if d, err = enc.DecodeString(s); err == nil {
			*v = d
			return nil
		}
	}
	return err
}
