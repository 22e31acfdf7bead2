package history

import (
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"
)

// Outcome is what a client knows of a call after it.
type Outcome string

// The outcomes. A call without one was never answered: its process died.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"  // it had no effect and will have none
	Refused Outcome = "refused" // the hold was gone
	Unknown Outcome = "unknown"
)

// The verbs that checks tell apart. Each place takes those of its recipe.
const (
	Lock     = "lock" // also a permit and a campaign
	RLock    = "rlock"
	Unlock   = "unlock" // also of a permit and a term
	Lose     = "lose"   // the hold's context has ended, by a loss
	Write    = "write"  // under the guard of a hold
	Proclaim = "proclaim"
	Read     = "read" // who leads
	Observe  = "observe"
	Await    = "await"
	Enqueue  = "enqueue"
	Receive  = "receive"
	Ack      = "ack"
	Nack     = "nack"
	// SessionLost is of no place: a session's context has ended, by a loss. Value is why.
	SessionLost = "session lost"
	// Stale is a write, or an ack, sent by a process that has just found out that it was paused for too long. Valid says
	// what the hold's Err said.
	Stale = "stale write"
)

// Op is one call of a client, as the client saw it, or something that happened to it.
type Op struct {
	ID      int     `json:"id"`     // within the recorder
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
	Revision int64  `json:"revision,omitempty"`
	Attempt  int    `json:"attempt,omitempty"`
	Round    int64  `json:"round,omitempty"`
	Valid    bool   `json:"valid,omitempty"`
}

// Clock gives the nanoseconds that ops and events are stamped with. Clocks of several processes of one machine agree as
// far as its wall clock is not set between their starts; a later step changes nothing.
type Clock struct{ base time.Time }

// NewClock starts a clock.
func NewClock() Clock { return Clock{time.Now()} }

// Now is the time.
func (c Clock) Now() int64 { return c.base.UnixNano() + int64(time.Since(c.base)) }

// Recorder keeps ops. It is safe for concurrent use.
type Recorder struct {
	Clock
	mu   sync.Mutex
	ops  []*Op
	last int // ID
	out  *json.Encoder
}

// NewRecorder makes a recorder. If out is not nil, each op is written to it when it begins and again when it ends, one
// JSON object to a line, so that it outlives a process that is killed.
func NewRecorder(out io.Writer) *Recorder {
	r := &Recorder{Clock: NewClock()}
	if out != nil {
		r.out = json.NewEncoder(out)
	}
	return r
}

// Begin notes that a call is made.
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

// End notes that a call has returned. set adds what came of it.
func (r *Recorder) End(o *Op, outcome Outcome, err error, set func(*Op)) {
	now := r.Now() // others may be recording
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

// Amend changes an op that has not ended, such as by a value that is made of its number.
func (r *Recorder) Amend(o *Op, set func(*Op)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set(o)
	r.emit(o)
}

// Note records something that happens at once.
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
		_ = r.out.Encode(o) // a parent that has gone is found out by other means
	}
}

// Ops gives what was recorded so far.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := make([]Op, len(r.ops))
	for i, o := range r.ops {
		ops[i] = *o
	}
	return ops
}

// Each calls fn with every op recorded so far. fn must not keep it, nor record anything.
func (r *Recorder) Each(fn func(*Op)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.ops {
		fn(o)
	}
}

// Adopt adds what the recorder of another process writes, as it comes, until the end of in.
func (r *Recorder) Adopt(in io.Reader) error {
	at := map[int]*Op{}
	dec := json.NewDecoder(in)
	for {
		var o Op
		err := dec.Decode(&o)
		if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // the decoder returns them as they are
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

// Token is a value that no other op writes.
func (o *Op) Token() string { return o.Client + "#" + strconv.Itoa(o.ID) }
