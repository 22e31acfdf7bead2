package gateway

import "context"

// RequestProgress asks etcd, once, how far it has come with the watches of this client. All those that were made with
// [ProgressNotify] are told, when etcd answers: it does so once it has sent everything to every watch of the client, so
// that one which begins at a future revision holds up the answer. If there is no watch to tell, it is ErrInvalid. It does
// not wait.
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
			if h.conn != nil {
				h.conn.out.write([]byte(progressMessage))
			}
			return nil
		}
	}
	return invalid("progress", "no watch was made with ProgressNotify")
}

// progress takes note that all events up to a revision have come, of one watch or of all on a stream. It raises the point
// where they would be resumed, and tells those who want to know.
func (h *hub) progress(ctx context.Context, cn *conn, a *watchAnswer) {
	rev := a.Revision
	var tell []*watch
	reached := func(w *watch) {
		if w == nil || !w.standing || len(w.held) > 0 || rev+1 < w.next {
			return
		}
		w.resume = max(w.resume, rev+1)
		if w.notify {
			tell = append(tell, w)
		}
	}
	h.mu.Lock()
	if !cn.asksVersion {
		cn.asksVersion = true
		h.c.spawn(func() { h.learnOrder(ctx, cn) })
	}
	switch {
	case !cn.ordered:
	case a.watchID >= 0:
		reached(cn.byID[a.watchID])
	default:
		h.asked = false
		for _, w := range cn.byID {
			reached(w)
		}
	}
	h.mu.Unlock()
	for _, w := range tell {
		w.fn(WatchResponse{Progress: true, Revision: rev})
	}
}

// learnOrder finds out whether what a member says of progress can be relied on. Until then nothing of it is used.
func (h *hub) learnOrder(ctx context.Context, cn *conn) {
	ordered, known := h.c.ordersProgress(ctx, cn.ep)
	h.mu.Lock()
	defer h.mu.Unlock()
	cn.ordered = ordered
	switch {
	case !known:
		cn.asksVersion = false // the next answer asks again
	case !ordered:
		h.asked = false // there will be no answer to use
	case h.asked && h.conn == cn:
		cn.out.write([]byte(progressMessage)) // the answer that has come could not be used yet
	}
}
