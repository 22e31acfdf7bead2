package session

import (
	"time"

	"github.com/holdfast-go/holdfast/internal/core"
)

// Info identifies a session. Its JSON is the session's record.
type Info struct {
	ID        string    `json:"id"`             // unique to the session
	Name      string    `json:"name,omitempty"` // see [Options]
	Host      string    `json:"host,omitempty"`
	PID       int       `json:"pid,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	ParentKey string    `json:"within,omitempty"` // see [Options]
}

// String returns a text for people: "name (host, pid 42)".
func (i Info) String() string { return core.Info(i).String() }
