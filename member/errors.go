package member

import (
	"errors"
	"fmt"

	"github.com/holdfast-go/holdfast/session"
)

// ErrTaken is matched by the [*TakenError] of a member whose ID another one has.
var ErrTaken = errors.New("taken")

// ErrReplaced is the reason for which a [Membership] has ended when another member with the same ID
// has replaced it, see [Options.TakeOver].
var ErrReplaced = errors.New("replaced by another member")

// TakenError names the member that has the ID.
type TakenError struct {
	Group   string
	Other   Member
	Session *session.Info // of the other member; nil if it is not known
}

// Error names the ID and the other member.
func (e *TakenError) Error() string {
	by := "the lease " + e.Other.Lease.String()
	if e.Session != nil {
		by = e.Session.String() + ", " + by
	}
	return fmt.Sprintf("the ID %q of group %q is taken by %s", e.Other.ID, e.Group, by)
}

// Is matches [ErrTaken].
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

func wrap(verb, group string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("member: %s %q: %w", verb, group, err)
}
