package election

import (
	"context"

	"github.com/holdfast-go/holdfast/internal/explain"
	"github.com/holdfast-go/holdfast/session"
)

// Explain returns why a Campaign of this session waits, or would wait. It reads etcd when it is
// called, also after the session has ended. Returns the error of a request that failed.
func (e *Election) Explain(ctx context.Context) (*session.Explanation, error) {
	out, err := explain.Line(ctx, &e.line, nil)
	return out, e.line.Wrap("explain", err)
}
