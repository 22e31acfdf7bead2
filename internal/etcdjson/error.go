package etcdjson

import (
	"cmp"
	"encoding/json"
)

// Error is an error as an answer reports it. Codes holds the numbers that may be its gRPC code, the
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

// ParseError reads an error in each form that gateways use: {"code","message"} (3.6, 3.7),
// {"error":"text","code"} (3.4, 3.5), and on a stream {"error":{"grpc_code"|"code","message"}}. It
// returns false if body is not a JSON object with these types.
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
		_ = json.Unmarshal(top.Error, &text) // text stays empty if it is no string either
	}
	return Error{
		Codes:   [3]int{top.Code, inner.Code, inner.GRPCCode},
		Message: cmp.Or(top.Message, inner.Message, text),
	}, true
}
