package shard

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
)

// MaxShards is the largest number of shards of a group. The assignment of so many has about 50 KB,
// which every member receives after each change of the group.
const MaxShards = 10_000

// DefaultDrainTimeout is the default of [Options.DrainTimeout].
const DefaultDrainTimeout = 20 * time.Second

// Options of [Run]. Nil is the default.
type Options struct {
	// Member configures the member that holds the shards. A process that keeps its ID over a
	// restart gets its shards back; its Value is the address in [Owner]. A member with twice the
	// Weight has twice as many shards. A shard that moves stays in its Zone if there is room.
	Member member.Options

	// DrainTimeout bounds the time for which [Run] hands shards over after its context has ended.
	// The remaining shards are released then, and their next owners start when they notice. It must
	// be less than the time that the program has to stop. Default 20 s.
	DrainTimeout time.Duration
}

// ErrMismatch is returned by [Run] when the group has another number of shards.
var ErrMismatch = errors.New("another number of shards")

// ErrPaused is the cause of the context of a shard's function when an operator pauses the shard.
var ErrPaused = errors.New("the shard is paused")

// ErrMoved is the cause of the context of a shard's function when the shard moves to another
// member.
var ErrMoved = errors.New("the shard moves to another member")

func (o *Options) check(n int) error {
	switch {
	case n < 1 || n > MaxShards:
		return invalid("%d shards; 1 to %d are possible", n, MaxShards)
	case o.DrainTimeout < 0:
		return invalid("a negative DrainTimeout")
	case strings.Contains(o.Member.ID, "\n"):
		return invalid("a line feed in the member's ID")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", gateway.ErrInvalid, fmt.Sprintf(format, args...))
}

func wrap(verb, group string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("shard: %s %q: %w", verb, group, err)
}
