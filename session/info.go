package session

import (
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// Info identifies a session. It is stored in the session's record.
type Info struct {
	ID        string // unique to the session
	Name      string // see [Options]
	Host      string
	PID       int
	Started   time.Time
	ParentKey string // see [Options]
}

// String returns a text for people: "name (host, pid 42)".
func (i Info) String() string { return core.Info(i).String() }
