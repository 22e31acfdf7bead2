package etcdjson

import (
	"cmp"
	"encoding/json"
)

// Error is what an answer says of an error. Codes has the numbers that may be its gRPC code, the
// most trusted first.
type Error struct {
	Codes   [3]int
	Message string
}

type wireError struct {
	Code     int    `json:"code"`
	GRPCCode int    `json:"grpc_code"`
	Message  string `json:"message"`
}

// ParseError reads each shape that a gateway gives an error: {"code","message"} (3.6, 3.7),
// {"error":"text","code"} (3.4, 3.5), and on a stream {"error":{"grpc_code"|"code","message"}}. It
// reports false for a text that is not a JSON object.
func ParseError(body []byte) (Error, bool) {
	var top struct {
		wireError
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &top) != nil {
		return Error{}, false
	}
	var inner wireError
	var text string
	if json.Unmarshal(top.Error, &inner) != nil {
		_ = json.Unmarshal(top.Error, &text) // whatever it is, it is no error text then
	}
	return Error{
		Codes:   [3]int{top.Code, inner.Code, inner.GRPCCode},
		Message: cmp.Or(top.Message, inner.Message, text),
	}, true
}
