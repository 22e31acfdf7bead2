package once

import (
	"context"

	"github.com/holdfast-go/holdfast/internal/explain"
	"github.com/holdfast-go/holdfast/internal/line"
	"github.com/holdfast-go/holdfast/session"
)

// Explain returns why a Do of this session waits, or would wait: another caller runs the function.
// With a result nothing is needed. The pause after a failed attempt is part of the run that comes
// next. Explain reads etcd when it is called, also after the session has ended. Returns the error
// of a request that failed.
func (o *Once) Explain(ctx context.Context) (*session.Explanation, error) {
	if err := o.check(); err != nil {
		return nil, o.line.Wrap("explain", err)
	}
	done := false
	out, err := explain.Line(ctx, &o.line, func(v line.Standing, _ int) []string {
		_, done = v.Settings[resultSetting]
		return nil
	})
	if done && err == nil {
		out = &session.Explanation{Revision: out.Revision}
	}
	return out, o.line.Wrap("explain", err)
}
