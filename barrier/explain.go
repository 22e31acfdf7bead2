package barrier

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/internal/explain"
	"github.com/holdfast-go/holdfast/session"
)

// Explain returns why a call of this session waits at the barrier, or would wait. It reads etcd
// when it is called, also after the session has ended. It returns the errors of Inspect.
func (p *place) Explain(ctx context.Context) (*session.Explanation, error) {
	out, err := p.explain(ctx)
	return out, p.line.Wrap("explain", err)
}

func (p *place) explain(ctx context.Context) (*session.Explanation, error) {
	now, err := p.inspect(ctx)
	if err != nil {
		return nil, err
	}
	out := &session.Explanation{Revision: now.Revision}
	for _, m := range now.Members {
		if !m.Holder && m.Lease == p.line.Session.Lease() && out.Key == "" {
			out.Key = m.Key
		}
		if p.kind == simple {
			h := session.Holder{Key: m.Key, Lease: m.Lease, Fence: m.Fence}
			out.Holders = append(out.Holders, h)
		}
	}
	if now.Raised {
		out.Needs = append(out.Needs, "the barrier is raised and has to be lowered")
	}
	switch {
	case p.kind == simple:
		if err := explain.LookUp(ctx, p.line.Session, out.Holders); err != nil {
			return nil, err
		}
		out.Needs = append(out.Needs, explain.Needs(out.Holders)...)
	case p.kind == latch && now.Missing > 0:
		out.Needs = append(out.Needs, fmt.Sprintf("the latch has to be counted down %d times",
			now.Missing))
	case p.kind != latch && now.Missing > 0:
		out.Needs = append(out.Needs, fmt.Sprintf("%d more have to come", now.Missing))
	}
	return out, nil
}
