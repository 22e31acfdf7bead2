package cron

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
)

// The settings of a name, see the package documentation.
const (
	stateSetting   = "state"
	pauseSetting   = "pause"
	triggerSetting = "trigger"
	historySetting = "history" // a prefix
	runningSetting = "running" // a prefix
)

// state is the record of a name. Each transaction that starts or ends a tick replaces it.
type state struct {
	Count   int64     `json:"count"` // of the ticks that have started
	Last    time.Time `json:"last"`  // the last tick of the schedule that has started
	Running *attempt  `json:"running,omitempty"`
}

// attempt is the last attempt at the tick that has started and not ended.
type attempt struct {
	Record
	// Key is the key of the attempt. It is empty when the attempt has ended: with an Error if it
	// failed, and without if its replica was stopped.
	Key string `json:"key,omitempty"`
}

// Record describes a tick that has started.
type Record struct {
	Scheduled time.Time `json:"scheduled"` // of a tick by hand, the time of [Cron.Trigger]
	Started   time.Time `json:"started"`   // of the last attempt
	Ended     time.Time `json:"ended,omitzero"`
	By        string    `json:"by"` // the session of the last attempt: "name (host, pid 42)"
	Attempt   int       `json:"attempt"`
	Fence     int64     `json:"fence,omitempty"` // of the last attempt, once that has ended
	Error     string    `json:"error,omitempty"` // of the last attempt, of which 1 KiB is kept
	Trigger   *Request  `json:"trigger,omitempty"`
}

// Request is a request of an operator.
type Request struct {
	By  string    `json:"by"` // the session: "name (host, pid 42)"
	Why string    `json:"why"`
	At  time.Time `json:"at"`
}

// pause is the value of the pause setting.
type pause struct {
	Request
	Paused bool `json:"paused"`
}

func encode(v any) []byte {
	value, _ := json.Marshal(v) // strings, numbers and times cannot fail
	return value
}

// decode reads a value that encode wrote.
func decode(key, value string, v any) error {
	if err := json.Unmarshal([]byte(value), v); err != nil || value == "null" {
		return line.CorruptKey(gateway.KeyValue{Key: key, Value: []byte(value)})
	}
	return nil
}

// decodeState reads the record of a name.
func decodeState(key, value string) (st state, _ error) {
	if err := decode(key, value, &st); err != nil {
		return st, err
	}
	r := st.Running
	if st.Count < 0 || st.Last.IsZero() || r != nil && (r.Attempt < 0 || st.Count < 1) {
		return st, line.CorruptKey(gateway.KeyValue{Key: key, Value: []byte(value)})
	}
	return st, nil
}

// historyKey returns the key of the record of the n-th tick.
func (c *Cron) historyKey(n int64) string {
	return fmt.Sprintf("%s%016d", c.prefix(historySetting), n)
}

func (c *Cron) key(setting string) string { return c.name + "//" + setting }

func (c *Cron) prefix(setting string) string { return c.key(setting) + "/" }

// endOps returns the operations that end the tick of st: they move it to the history.
func (c *Cron) endOps(st state, r Record) []gateway.Op {
	n := st.Count
	st.Running = nil
	ops := []gateway.Op{
		gateway.OpPut(c.key(stateSetting), encode(st)),
		gateway.OpPut(c.historyKey(n), encode(r)),
	}
	if keep := int64(c.opt.History); n > keep {
		ops = append(ops, gateway.OpDelete(c.historyKey(0), gateway.Range(c.historyKey(n-keep+1))))
	}
	return ops
}

// maxText bounds the text of an error that is stored.
const maxText = 1 << 10

// text returns the text of an error as it is stored. It is not empty.
func text(err error) string {
	s := err.Error()
	s = strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD")
	if s == "" {
		return "an error without text"
	}
	return s
}
