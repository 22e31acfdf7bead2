package history

import (
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"
)

// Outcome is the knowledge of a client about the effect of its call.
type Outcome string

// The outcomes. A call without an outcome had no answer, because its process was killed.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"  // it had no effect and will have none
	Refused Outcome = "refused" // the hold was lost or released
	Unknown Outcome = "unknown"
)

// The verbs that the checks distinguish. Each place uses the verbs of its recipe.
const (
	Lock     = "lock" // also a permit and a campaign
	RLock    = "rlock"
	Unlock   = "unlock" // also of a permit and a term
	Lose     = "lose"   // the hold's context ended because of a loss
	Write    = "write"  // under the guard of a hold
	Proclaim = "proclaim"
	Read     = "read" // of the leader
	Observe  = "observe"
	Await    = "await"
	Enqueue  = "enqueue"
	Receive  = "receive"
	Ack      = "ack"
	Nack     = "nack"
	Do       = "do"       // a call for the result of a function that runs once
	Progress = "progress" // of a hold that has a limit
	Detach   = "detach"
	Adopt    = "adopt"
	Free     = "free" // the release of a detached hold
	// SessionLost means that the session's context ended because of a loss. It has no place. Value
	// is the cause.
	SessionLost = "session lost"
	// Stale is a write or an ack of a process that has just noticed that it was paused for too
	// long. Valid means that the hold's Err was nil.
	Stale = "stale write"
)

// Op is one call of a client, as the client saw it, or an event of the client.
type Op struct {
	ID      int     `json:"id"`     // unique in the recorder
	Client  string  `json:"client"` // calls of one client do not overlap
	Lease   int64   `json:"lease,omitempty"`
	Place   string  `json:"place,omitempty"`
	Verb    string  `json:"verb"`
	Call    int64   `json:"call"`
	Return  int64   `json:"return,omitempty"`
	Outcome Outcome `json:"outcome,omitempty"`
	Err     string  `json:"err,omitempty"`

	Key      string `json:"key,omitempty"`
	Fence    int64  `json:"fence,omitempty"`
	Weight   int    `json:"weight,omitempty"`
	Value    string `json:"value,omitempty"`
	Result   string `json:"result,omitempty"`
	Revision int64  `json:"revision,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`
	Round    int64  `json:"round,omitempty"`
	Valid    bool   `json:"valid,omitempty"`
}

// Clock returns the nanoseconds with which ops and events are stamped. Clocks of several processes
// on one machine agree if its wall clock is not set between their starts. A later step of the wall
// clock has no effect. A Clock is a value.
type Clock struct{ base time.Time }

// NewClock returns a clock.
func NewClock() Clock { return Clock{time.Now()} }

// Now returns the time in nanoseconds since 1970.
func (c Clock) Now() int64 { return c.base.UnixNano() + int64(time.Since(c.base)) }

// Recorder records ops. It is safe for concurrent use.
type Recorder struct {
	Clock
	mu   sync.Mutex
	ops  []*Op
	last int // the last ID
	out  *json.Encoder
}

// NewRecorder returns a recorder. If out is not nil, the recorder writes each op to it as one line
// of JSON, at its start and at its end, so that the record survives a killed process.
func NewRecorder(out io.Writer) *Recorder {
	r := &Recorder{Clock: NewClock()}
	if out != nil {
		r.out = json.NewEncoder(out)
	}
	return r
}

// Begin records the start of a call and returns its op, which End or Amend takes.
func (r *Recorder) Begin(op Op) *Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Call = r.Now()
	r.last++
	op.ID = r.last
	o := &op
	r.ops = append(r.ops, o)
	r.emit(o)
	return o
}

// End records the return of a call. If set is not nil, End calls it to add the results of the call.
func (r *Recorder) End(o *Op, outcome Outcome, err error, set func(*Op)) {
	now := r.Now() // before the lock, which another op may hold
	r.mu.Lock()
	defer r.mu.Unlock()
	o.Return = now
	o.Outcome = outcome
	if err != nil {
		o.Err = err.Error()
	}
	if set != nil {
		set(o)
	}
	r.emit(o)
}

// Amend calls set to change an op that has not ended, such as to add a value that contains its ID.
func (r *Recorder) Amend(o *Op, set func(*Op)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set(o)
	r.emit(o)
}

// Note records an op that begins and ends at once.
func (r *Recorder) Note(op Op) {
	op.Call = r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Return, op.Outcome = op.Call, OK
	r.last++
	op.ID = r.last
	r.ops = append(r.ops, &op)
	r.emit(&op)
}

func (r *Recorder) emit(o *Op) {
	if r.out != nil {
		_ = r.out.Encode(o) // other code notices that the parent has ended
	}
}

// Ops returns copies of the recorded ops.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := make([]Op, len(r.ops))
	for i, o := range r.ops {
		ops[i] = *o
	}
	return ops
}

// Each calls fn with every recorded op. fn must not keep it, and must not call the recorder.
func (r *Recorder) Each(fn func(*Op)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.ops {
		fn(o)
	}
}

// Adopt adds the ops that the recorder of another process writes to in, as they arrive, until the
// end of in. It returns an error if in cannot be read or is not such a record. An incomplete last
// line is not an error.
func (r *Recorder) Adopt(in io.Reader) error {
	at := map[int]*Op{}
	dec := json.NewDecoder(in)
	for {
		var o Op
		err := dec.Decode(&o)
		//nolint:errorlint // the decoder returns them as they are
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil // the writer may have been killed within a line
		}
		if err != nil {
			return err
		}
		r.mu.Lock()
		if known := at[o.ID]; known != nil {
			*known = o
		} else {
			at[o.ID] = &o
			r.ops = append(r.ops, &o)
		}
		r.mu.Unlock()
	}
}

// Grants reports whether a call with this verb returns a hold.
func (o *Op) Grants() bool {
	return o.Verb == Lock || o.Verb == RLock || o.Verb == Receive || o.Verb == Adopt
}

// Token returns a value that no other op writes.
func (o *Op) Token() string { return o.Client + "#" + strconv.Itoa(o.ID) }
