package gateway

// RequestProgress asks etcd once for the progress of the client's watches. All watches made with
// [ProgressNotify] report it when etcd answers. etcd answers once it has sent every event to every
// watch of the client, so a watch that begins at a future revision delays the answer.
// RequestProgress does not wait. Returns ErrInvalid when no watch was made with ProgressNotify, and
// ErrClosed when the client is closed. There is no answer in [WatchModeFinite] and
// [WatchModePolling].
func (c *Client) RequestProgress() error {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.ctx.Err() != nil {
		return &Error{Op: "progress", cause: ErrClosed}
	}
	for w := range h.watches {
		if w.notify {
			// Repeated until there is an answer, because etcd drops requests that it cannot answer
			// at once.
			h.asked = true
			if h.mux != nil && h.mux.shared != nil {
				h.mux.shared.write([]byte(progressMessage))
			}
			return nil
		}
	}
	return invalid("progress", "no watch was made with ProgressNotify")
}

// progress records that all events up to a revision were delivered, of one watch or of all on a
// stream. It raises the revision where they would be resumed, and notifies the watches that report
// progress.
func (h *hub) progress(cn *conn, a *watchAnswer) {
	rev, m := a.Revision, cn.m
	var tell []*watch
	reached := func(p *place) {
		if p == nil || p.w.place != p || len(p.w.held) > 0 || rev+1 < p.w.next {
			return
		}
		p.w.resume = max(p.w.resume, rev+1)
		if p.w.notify {
			tell = append(tell, p.w)
		}
	}
	h.mu.Lock()
	cn.shows(rev)
	if a.watchID < 0 {
		cn.reported()
	}
	if !m.asksVersion {
		m.asksVersion = true
		h.c.spawn(func() { m.learnOrder() })
	}
	switch {
	case !m.ordered:
	case a.watchID >= 0:
		reached(cn.places[a.watchID])
	default:
		h.asked = false
		for _, p := range cn.places {
			reached(p)
		}
	}
	h.mu.Unlock()
	for _, w := range tell {
		w.fn(WatchResponse{Progress: true, Revision: rev})
	}
}

// learnOrder finds out whether a member's progress reports can be relied on. Until then none is
// used.
func (m *watchmux) learnOrder() {
	h := m.h
	ordered, known := h.c.ordersProgress(m.ctx, m.ep)
	h.mu.Lock()
	defer h.mu.Unlock()
	m.ordered = ordered
	switch {
	case !known:
		m.asksVersion = false // the next answer asks again
	case !ordered:
		h.asked = false // no answer could be used
	case h.asked && h.mux == m && m.shared != nil:
		m.shared.write([]byte(progressMessage)) // the last answer could not be used yet
	}
}
