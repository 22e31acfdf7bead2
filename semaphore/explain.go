package semaphore

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/internal/explain"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Explain returns why an Acquire of this session waits, or why an Acquire of weight 1 would wait.
// It names a waiter ahead that is too heavy for the free units, because those behind it wait for
// it. Explain reads etcd when it is called, also after the session has ended. It returns
// [session.ErrCorrupt] when the current limit is not a number, and else the error of a request that
// failed.
func (m *Semaphore) Explain(ctx context.Context) (*session.Explanation, error) {
	var corrupt error
	out, err := explain.Line(ctx, &m.line, func(v line.Standing, _ int) (needs []string) {
		corrupt = m.corrupt(v.Snapshot)
		size, used, admitted := fill(v.Snapshot)
		if size == 0 || admitted == len(v.Members) && used < size {
			return nil
		}
		needs = append(needs, fmt.Sprintf("%d of %d units are in use", used, size))
		if admitted < len(v.Members) {
			first := v.Members[admitted]
			needs = append(needs,
				fmt.Sprintf("%s, the first that waits, needs %d units, and %d are free",
					first.Key, weigh(first, size), size-used))
		}
		return needs
	})
	if err == nil {
		err = corrupt
	}
	if err != nil {
		return nil, m.line.Wrap("explain", err)
	}
	return out, nil
}
