package gateway

// RequestProgress asks etcd, once, how far it has come with the watches of this client. All those that were made with
// [ProgressNotify] are told, when etcd answers: it does so once it has sent everything to every watch of the client, so
// that one which begins at a future revision holds up the answer. If there is no watch to tell, it is ErrInvalid. It does
// not wait. There is no answer in [WatchModeFinite] and [WatchModePolling].
func (c *Client) RequestProgress() error {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.ctx.Err() != nil {
		return &Error{Op: "progress", cause: ErrClosed}
	}
	for w := range h.watches {
		if w.notify {
			h.asked = true // asked again until there is an answer: etcd drops what it cannot answer at once
			if h.mux != nil && h.mux.shared != nil {
				h.mux.shared.write([]byte(progressMessage))
			}
			return nil
		}
	}
	return invalid("progress", "no watch was made with ProgressNotify")
}

// progress takes note that all events up to a revision have come, of one watch or of all on a stream. It raises the point
// where they would be resumed, and tells those who want to know.
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

// learnOrder finds out whether what a member says of progress can be relied on. Until then nothing of it is used.
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
		h.asked = false // there will be no answer to use
	case h.asked && h.mux == m && m.shared != nil:
		m.shared.write([]byte(progressMessage)) // the answer that has come could not be used yet
	}
}
