package once

import (
	"bytes"
	"encoding/json"
	"fmt"

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

// decode returns the result that encode wrote, and [ErrFailed] for a failure.
func decode(kv gateway.KeyValue) (Result, error) {
	var r record
	head, value, ok := bytes.Cut(kv.Value, []byte{'\n'})
	if !ok || json.Unmarshal(head, &r) != nil || r.Attempt < 1 {
		return Result{}, line.CorruptKey(kv)
	}
	res := Result{Value: bytes.Clone(value), Attempt: r.Attempt, Fence: r.Fence}
	if r.Error != "" {
		return res, fmt.Errorf("%w after %d attempts: %s", ErrFailed, r.Attempt, r.Error)
	}
	return res, nil
}
