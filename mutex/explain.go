package mutex

import (
	"context"
	"fmt"
	"strings"

	"github.com/holdfast-go/holdfast/internal/explain"
	"github.com/holdfast-go/holdfast/session"
)

// Explain returns why a Lock of this session waits, or would wait. It reads etcd when it is called,
// also after the session has ended. Returns the error of a request that failed.
func (m *Mutex) Explain(ctx context.Context) (*session.Explanation, error) {
	out, err := explain.Line(ctx, &m.line, nil)
	return out, m.line.Wrap("explain", err)
}

// ExplainAll returns why a [LockAll] of the names waits, or would wait, with the needs of all names
// as they were at one revision; Ahead is their sum. See [Mutex.Explain]. Returns
// [gateway.ErrInvalid] for names that LockAll rejects, and else the error of a request that failed.
func ExplainAll(
	ctx context.Context, s *session.Session, names ...string,
) (*session.Explanation, error) {
	out, err := explain.Lines(ctx, linesOf(s, names), nil)
	if err != nil {
		return nil, fmt.Errorf("mutex: explain all of %s: %w", strings.Join(names, ", "), err)
	}
	return out, nil
}

// Explain returns why a call of this session waits, see [Mutex.Explain].
func (rw *RWMutex) Explain(ctx context.Context) (*session.Explanation, error) {
	return rw.m.Explain(ctx)
}
