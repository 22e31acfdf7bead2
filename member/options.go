package member

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// Limits of a member.
const (
	MaxID     = 256     // bytes of an ID, and of a zone
	MaxValue  = 4 << 10 // bytes of a value
	MaxWeight = 1_000_000
)

// Options of a member. Nil is the default.
type Options struct {
	// ID identifies the member in its group, for example a host and port, or the name of a pod. A
	// process that restarts under its ID is the same member for package shard. Default a random
	// text.
	ID string
	// Value is shown to observers, for example an address. [Membership.Update] changes it.
	Value string
	// Weight is the share of the member in work that is divided among the members. Default 1;
	// [Membership.SetWeight] changes it, also to 0.
	Weight int
	// Zone is the place of the member, for example an availability zone.
	Zone string

	// TakeOver lets the member replace another one with its ID when it joins, for example its own
	// predecessor that was killed and whose lease still lives. The other [Membership] ends with
	// [ErrReplaced] when it notices. Without TakeOver, joining returns [ErrTaken].
	TakeOver bool

	// Session configures the sessions of the member.
	Session *session.Options

	// OnState is called after each change of [Membership.State], one call at a time. err is nil, or
	// the reason for which the member is away. A call that blocks delays only the next ones.
	OnState func(state State, err error)
}

func (o *Options) check() error {
	switch {
	case len(o.ID) > MaxID || !utf8.ValidString(o.ID):
		return invalid("an ID is UTF-8 of at most %d bytes", MaxID)
	case len(o.Zone) > MaxID || !utf8.ValidString(o.Zone):
		return invalid("a zone is UTF-8 of at most %d bytes", MaxID)
	}
	return cmp.Or(checkValue(o.Value), checkWeight(o.Weight))
}

func checkValue(value string) error {
	if len(value) > MaxValue {
		return invalid("a value of %d bytes; %d are possible", len(value), MaxValue)
	}
	return nil
}

func checkWeight(weight int) error {
	if weight < 0 || weight > MaxWeight {
		return invalid("a weight of %d is not between 0 and %d", weight, MaxWeight)
	}
	return nil
}

func checkGroup(group string) error {
	if group == "" || strings.HasSuffix(group, "/") || strings.Contains(group, "//") {
		return invalid("%q is no name of a group", group)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}
