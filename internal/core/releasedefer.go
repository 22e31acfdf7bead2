package core

import "context"

// A deferred release returns before the key is deleted: the deletion is sent with the session's
// next write, or after deferTime. A release is deferred only if it makes the hold quiet and deletes
// nothing but the key. So no transaction can be applied under the hold after the release has
// returned. If etcd rejects the deletion, the session repeats it.

// defers reports whether the release of a quiet hold is deferred.
func (g *Releaser) defers() bool { return g.Deferred && !g.whole && g.deletesOnly(g.with) }

// deleteLater is delete for a release that is deferred.
func (g *Releaser) deleteLater() {
	s, w := g.h.s, g.write(g.with)
	w.CompleteOnCancel, w.resolver = true, g
	p, over := s.submitDeferred(w)
	await := func(ctx context.Context) {
		defer over()
		if err := g.deleted(p.Wait(ctx)); err != nil {
			g.Abandon(ctx) // does nothing unless it was rejected
		}
	}
	if !s.Background(await) {
		await(s.ctx)
	}
}
