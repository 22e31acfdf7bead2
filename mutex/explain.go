package mutex

import (
	"context"

	"github.com/holdfast-go/holdfast/internal/explain"
	"github.com/holdfast-go/holdfast/session"
)

// Explain returns why a Lock of this session waits, or would wait. It reads etcd when it is called,
// also after the session has ended. Returns the error of a request that failed.
func (m *Mutex) Explain(ctx context.Context) (*session.Explanation, error) {
	out, err := explain.Line(ctx, &m.line, nil)
	return out, m.line.Wrap("explain", err)
}

// Explain returns why a call of this session waits, see [Mutex.Explain].
func (rw *RWMutex) Explain(ctx context.Context) (*session.Explanation, error) {
	return rw.m.Explain(ctx)
}
