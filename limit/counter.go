package limit

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// Counter is a number that all sessions share. It is safe for concurrent use.
type Counter struct {
	s    *session.Session
	name string
}

// NewCounter returns the counter of a name. It sends no request. A name that cannot be used is
// reported by the first call.
func NewCounter(s *session.Session, name string) *Counter { return &Counter{s, name} }

// Add adds n, which may be negative, and returns the sum. A counter that does not exist is 0. Add
// is applied once. Returns [gateway.ErrInvalid] when the sum exceeds 64 bits, and the errors of the
// package.
func (c *Counter) Add(ctx context.Context, n int64) (sum int64, err error) {
	err = c.do(ctx, func(tx *stm.Tx, key string) error {
		old, err := readNumber(tx, key)
		if err != nil {
			return err
		}
		if sum = old + n; (sum > old) != (n > 0) && n != 0 {
			return fmt.Errorf("%w: %d and %d exceed 64 bits", gateway.ErrInvalid, old, n)
		}
		tx.Put(key, strconv.AppendInt(nil, sum, 10))
		return nil
	})
	if err != nil {
		return 0, c.wrap("add", err)
	}
	return sum, nil
}

// Get reads the counter. Returns the errors of the package.
func (c *Counter) Get(ctx context.Context) (n int64, err error) {
	err = c.do(ctx, func(tx *stm.Tx, key string) error {
		n, err = readNumber(tx, key)
		return err
	})
	return n, c.wrap("get", err)
}

// errDiffers ends a transaction whose counter is not as it should be.
var errDiffers = errors.New("the counter differs")

// CompareAndSwap sets the counter to value if it is old, and reports whether it was. It is applied
// once. Returns the errors of the package.
func (c *Counter) CompareAndSwap(ctx context.Context, old, value int64) (swapped bool, err error) {
	err = c.do(ctx, func(tx *stm.Tx, key string) error {
		n, err := readNumber(tx, key)
		switch {
		case err != nil:
			return err
		case n != old:
			return errDiffers
		}
		tx.Put(key, strconv.AppendInt(nil, value, 10))
		return nil
	})
	if errors.Is(err, errDiffers) {
		return false, nil
	}
	return err == nil, c.wrap("compare and swap", err)
}

func (c *Counter) do(ctx context.Context, fn func(tx *stm.Tx, key string) error) error {
	if err := core.Of(c.s).CheckName(c.name); err != nil {
		return err
	}
	_, err := stm.Do(ctx, c.s, func(tx *stm.Tx) error { return fn(tx, c.name+"//counter") }, nil)
	return err
}

func (c *Counter) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("limit: counter %s %q: %w", verb, c.name, err)
}
