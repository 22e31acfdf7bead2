package core

import (
	"context"

	"github.com/holdfast-go/holdfast/gateway"
)

// Remove deletes a key that any session may have put. It deletes the incarnation that it has read,
// so that a late copy of the deletion cannot delete a later one, and so that it also succeeds while
// the database is full. It returns [ErrNotHeld] when the key does not exist. When ctx ends during
// the deletion it returns [gateway.ErrUncertain], and the deletion continues in the background.
func (s *Session) Remove(ctx context.Context, key string) error {
	bound, cancel := s.bound(ctx)
	defer cancel(nil)
	resp, err := s.c.Get(bound, key, gateway.KeysOnly())
	switch {
	case err != nil && s.Err() != nil:
		return s.Err()
	case err != nil:
		return err
	case len(resp.KVs) == 0:
		return ErrNotHeld
	}
	own := gateway.CmpCreateRevision(key, gateway.Equal, resp.KVs[0].CreateRevision)
	out, err := s.Write(ctx, guardedWrite(own, []gateway.Op{gateway.OpDelete(key)}))
	if err == nil && !out.Applied && !out.Repeated {
		return ErrNotHeld
	}
	return err
}
