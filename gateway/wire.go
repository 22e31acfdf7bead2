package gateway

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The JSON of the gateway: snake_case, 64-bit numbers as strings, bytes as base64, zero fields left out.

// number is a 64-bit integer that comes as a JSON string or as a JSON number.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	v, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("integer: %w", errors.Unwrap(err))
	}
	*n = number(v)
	return nil
}

// ident is an unsigned 64-bit identity (cluster, member); some are larger than any int64.
type ident uint64

func (n *ident) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	v, err := strconv.ParseUint(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("identity: %w", errors.Unwrap(err))
	}
	*n = ident(v)
	return nil
}

// blob is bytes in base64 of either alphabet, padded or not.
type blob []byte

func (v *blob) UnmarshalJSON(b []byte) error {
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
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		var d []byte
		if d, err = enc.DecodeString(s); err == nil {
			*v = d
			return nil
		}
	}
	return err
}

type wireHeader struct {
	ClusterID ident  `json:"cluster_id"`
	MemberID  ident  `json:"member_id"`
	Revision  number `json:"revision"`
	RaftTerm  ident  `json:"raft_term"`
}

func (h *Header) wire() wireHeader {
	return wireHeader{ClusterID: ident(h.ClusterID), MemberID: ident(h.MemberID), Revision: number(h.Revision), RaftTerm: ident(h.RaftTerm)}
}

func (h wireHeader) public() Header {
	return Header{
		ClusterID: uint64(h.ClusterID), MemberID: uint64(h.MemberID),
		Revision: int64(h.Revision), RaftTerm: uint64(h.RaftTerm),
	}
}

// wireError reads every shape that a gateway gives an error: {"code","message"} (3.6, 3.7), {"error":"text","code"}
// (3.4, 3.5), and on a stream {"error":{"grpc_code"|"code","message"}}.
type wireError struct {
	Code     int    `json:"code"`
	GRPCCode int    `json:"grpc_code"`
	Message  string `json:"message"`
}

// decodeError reads an answer that reports an error. status is that of HTTP, which counts where there is no code.
func decodeError(body []byte, status int) (Code, string, bool) {
	var top struct {
		wireError
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &top) != nil {
		return 0, "", false
	}
	var inner wireError
	var text string
	if json.Unmarshal(top.Error, &inner) != nil {
		_ = json.Unmarshal(top.Error, &text) // whatever it is, it is no error text then
	}
	message := cmp.Or(top.Message, inner.Message, text)
	for _, code := range []int{top.Code, inner.Code, inner.GRPCCode} {
		if code > 0 && code <= int(CodeUnauthenticated) { // or it is somebody else's JSON
			return rawCode(Code(code), message), clean(message), true
		}
	}
	code, message, ok := codeless(message, status)
	return code, clean(message), ok
}
