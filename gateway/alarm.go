package gateway

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

// AlarmType is the subject of an alarm.
type AlarmType string

// The alarms that etcd raises. [AlarmNone] means all of them in [Cluster.AlarmDisarm].
const (
	AlarmNone AlarmType = "NONE"
	// AlarmNoSpace says that the database is full. Writes fail until there is space and the alarm
	// is disarmed.
	AlarmNoSpace AlarmType = "NOSPACE"
	// AlarmCorrupt says that members disagree about the data.
	AlarmCorrupt AlarmType = "CORRUPT"
)

// UnmarshalJSON keeps the number of an alarm that the server has no name for. It returns nil.
func (a *AlarmType) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*a = AlarmType(s)
	return nil
}

// Alarm is an alarm that a member raised.
type Alarm struct {
	MemberID uint64
	Type     AlarmType
}

// AlarmResponse lists the alarms that a call read or changed.
type AlarmResponse struct {
	Header
	Alarms []Alarm
}

// AlarmList returns the alarms that are raised. It is retried at other endpoints until ctx ends. It
// returns only the errors of every call.
func (c Cluster) AlarmList(ctx context.Context) (*AlarmResponse, error) {
	r := &call{op: "alarm list", path: "/maintenance/alarm", repeat: true, local: true}
	return c.alarm(ctx, r, wireAlarm{Action: "GET"})
}

// AlarmActivate raises an alarm for a member and returns it. etcd raises alarms by itself; use the
// call in tests, or to stop writes by hand. Returns ErrInvalid when the type is neither
// [AlarmNoSpace] nor [AlarmCorrupt]. It may be repeated, and is retried at other endpoints until
// ctx ends. Returns ErrUncertain when ctx ends after an attempt may have been applied.
func (c Cluster) AlarmActivate(ctx context.Context, a Alarm) (*AlarmResponse, error) {
	const op = "alarm activate"
	if !slices.Contains([]AlarmType{AlarmNoSpace, AlarmCorrupt}, a.Type) {
		return nil, invalid(op, "no such alarm")
	}
	r := &call{op: op, path: "/maintenance/alarm", repeat: true, write: true}
	return c.alarm(ctx, r, wireAlarm{Action: "ACTIVATE", MemberID: a.MemberID, Alarm: a.Type})
}

// AlarmDisarm clears an alarm of a member; the zero Alarm clears all that are raised. It returns
// the alarms that it cleared. Remove the cause before, or etcd raises the alarm again. Returns
// ErrInvalid when etcd has no such type of alarm. It may be repeated, and is retried at other
// endpoints until ctx ends. Returns ErrUncertain when ctx ends after an attempt may have been
// applied.
func (c Cluster) AlarmDisarm(ctx context.Context, a Alarm) (*AlarmResponse, error) {
	const op = "alarm disarm"
	if a == (Alarm{}) || a == (Alarm{Type: AlarmNone}) {
		return c.disarmAll(ctx)
	}
	if !slices.Contains([]AlarmType{AlarmNoSpace, AlarmCorrupt}, a.Type) {
		return nil, invalid(op, "no such alarm")
	}
	r := &call{op: op, path: "/maintenance/alarm", repeat: true, write: true}
	return c.alarm(ctx, r, wireAlarm{Action: "DEACTIVATE", MemberID: a.MemberID, Alarm: a.Type})
}

func (c Cluster) disarmAll(ctx context.Context) (*AlarmResponse, error) {
	raised, err := c.AlarmList(ctx)
	if err != nil {
		return nil, err
	}
	out := &AlarmResponse{Header: raised.Header}
	for _, a := range raised.Alarms {
		resp, err := c.AlarmDisarm(ctx, a)
		if err != nil {
			return nil, err
		}
		out.Header = resp.Header
		out.Alarms = append(out.Alarms, resp.Alarms...)
	}
	return out, nil
}

func (c Cluster) alarm(ctx context.Context, r *call, w wireAlarm) (*AlarmResponse, error) {
	var out *AlarmResponse
	err := unary(ctx, c.client, r, w, func(a *wireAlarms) (etcdjson.Header, error) {
		out = &AlarmResponse{Header: headerOf(a.Header)}
		for _, m := range a.Alarms {
			out.Alarms = append(out.Alarms, Alarm{uint64(m.MemberID), m.Alarm})
		}
		return a.Header, nil
	})
	return out, err
}

type wireAlarm struct {
	Action   string    `json:"action"`
	MemberID uint64    `json:"memberID,omitempty,string"`
	Alarm    AlarmType `json:"alarm,omitempty"`
}

type wireAlarms struct {
	Header etcdjson.Header `json:"header"`
	Alarms []struct {
		MemberID etcdjson.Uint64 `json:"memberID"`
		Alarm    AlarmType       `json:"alarm"`
	} `json:"alarms"`
}
