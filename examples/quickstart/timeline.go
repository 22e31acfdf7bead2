package main

import (
	"fmt"
	"io"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
)

// event is a report of a worker.
type event struct {
	Kind   kind
	Worker string
	PID    int
	At     time.Time
	Lease  gateway.LeaseID `json:",omitzero"`
	Fence  int64           `json:",omitzero"`
	Number int64           // that was read or written
	Text   string          `json:",omitzero"`
}

type kind string

const (
	ready   kind = "ready"   // has a session
	holding kind = "holding" // holds the lock, has read the number, and waits for the director
	wrote   kind = "wrote"   // the increment is committed
	refused kind = "refused" // the write was not applied
)

// timeline prints the events and counts.
type timeline struct {
	out   io.Writer
	start time.Time

	freed time.Time // when the last holder released or lost the lock
	freer string    // the last holder, and the reason

	increments, refused int64
}

func newTimeline(out io.Writer) *timeline { return &timeline{out: out, start: time.Now()} }

func (t *timeline) title(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, "\n"+format+"\n", args...)
}

func (t *timeline) line(at time.Time, who, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	_, _ = fmt.Fprintf(t.out, "%8.3fs  %-5s  %s\n", at.Sub(t.start).Seconds(), who, text)
}

// note prints an action of the director on a worker.
func (t *timeline) note(who, text string) { t.line(time.Now(), who, "%s", text) }

// took prints an action that makes a holder lose the lock.
func (t *timeline) took(who, how, text string) {
	t.note(who, text)
	t.freed, t.freer = time.Now(), who+" "+how
}

// show prints a report of a worker.
func (t *timeline) show(e event) {
	switch e.Kind {
	case ready:
		t.line(e.At, e.Worker, "has a session: pid %d, lease %s", e.PID, e.Lease)
	case holding:
		after := ""
		if t.freer != "" {
			after = fmt.Sprintf(", %s after %s", round(e.At.Sub(t.freed)), t.freer)
		}
		t.line(e.At, e.Worker, "acquires the lock%s; fence %d; reads %d", after, e.Fence, e.Number)
	case wrote:
		t.increments++
		t.freed, t.freer = e.At, e.Worker+" unlocked"
		t.line(e.At, e.Worker, "writes %d", e.Number)
	case refused:
		t.refused++
		t.line(e.At, e.Worker, "REFUSED to write %d under the stale fence %d, by %s",
			e.Number, e.Fence, e.Text)
	}
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}
