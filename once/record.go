package once

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
)

// The settings of a name, see the package documentation.
const (
	resultSetting   = "result"
	attemptsSetting = "attempts"
	failureSetting  = "failure"
)

// record is the first line of a result, and all of a failure.
type record struct {
	Attempt int    `json:"attempt"`
	Fence   int64  `json:"fence"`
	Error   string `json:"error,omitempty"` // the last attempt has failed
}

func (r record) encode(value []byte) []byte {
	head, _ := json.Marshal(r) // numbers and a string cannot fail
	return append(append(head, '\n'), value...)
}

// outcome returns the result for all callers, or a [*FailedError].
func (r record) outcome(value []byte) (Result, error) {
	res := Result{Value: value, Attempt: r.Attempt, Fence: r.Fence}
	if r.Error != "" {
		return res, &FailedError{Attempts: r.Attempt, Text: r.Error}
	}
	return res, nil
}

// decode returns the outcome that encode wrote.
func decode(kv gateway.KeyValue) (Result, error) {
	var r record
	head, value, ok := bytes.Cut(kv.Value, []byte{'\n'})
	if !ok || json.Unmarshal(head, &r) != nil || r.Attempt < 1 {
		return Result{}, line.CorruptKey(kv)
	}
	return r.outcome(bytes.Clone(value))
}

// decodeFailure returns the failure of an attempt. It returns the zero record if kvs has none, or
// the one of an earlier attempt.
func decodeFailure(kvs []gateway.KeyValue, attempt int) record {
	var r record
	if len(kvs) == 0 || json.Unmarshal(kvs[0].Value, &r) != nil ||
		r.Attempt < 1 || r.Attempt != attempt {
		return record{}
	}
	return r
}

// maxText bounds the text of an error that is stored.
const maxText = 4 << 10

// text returns the text of an error as it is stored. It is not empty.
func text(err error) string {
	s := err.Error()
	s = strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD")
	if s == "" {
		return "an error without text"
	}
	return s
}
