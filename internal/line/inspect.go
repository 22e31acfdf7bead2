package line

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/core"
)

// Wrap names the recipe, the verb and the line in an error. It returns nil for nil.
func (l *Line) Wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s %q: %w", l.Kind, verb, l.Name, err)
}

// Inspect is [Line.Read] with the sessions of the members, in the order of the members. A member of
// another library has none.
func (l *Line) Inspect(ctx context.Context) (Snapshot, []*core.Info, error) {
	v, err := l.Read(ctx)
	if err != nil {
		return v, nil, err
	}
	var leases []gateway.LeaseID
	for _, m := range v.Members {
		if m.Lease() != 0 {
			leases = append(leases, m.Lease())
		}
	}
	found, err := l.Session.SessionInfos(ctx, leases...)
	infos := make([]*core.Info, len(v.Members))
	for i, m := range v.Members {
		if info, ok := found[m.Lease()]; ok {
			infos[i] = &info
		}
	}
	return v, infos, err
}

// CheckMember returns [gateway.ErrInvalid] for a key that cannot belong to a member of the line.
func (l *Line) CheckMember(key string) error {
	if err := l.checkName(); err != nil {
		return err
	}
	if !isMember(key, l.prefix()) {
		return fmt.Errorf("%w: %q is no member's key", gateway.ErrInvalid, key)
	}
	return nil
}
