package gateway

// Event is one change of a key.
type Event struct {
	// Deleted tells a deletion from a put. Of a deleted key, KV has only Key and ModRevision, the revision that deleted it.
	Deleted bool
	KV      KeyValue
	PrevKV  *KeyValue // with PrevKV(), and if the key existed and its history is not compacted
}

// WatchResponse is what a watch reports: that it stands, events, how far it has come, or its end.
type WatchResponse struct {
	// Created says that the watch stands and will miss nothing that happens after Revision. It comes first, once.
	Created bool
	// Revision is the store's when the watch was created, that of the last of Events, or the one that Progress is about.
	Revision int64
	// Events come in the order of their revisions. The events of one revision come together, in however many fragments
	// etcd sends them.
	Events []Event
	// Progress says that all events up to Revision have come. Only a watch made with ProgressNotify is told.
	Progress bool
	// Err ends the watch. It is ErrCompacted when events were lost to compaction (the [*Error] has the CompactRevision),
	// ErrPermissionDenied, ErrClosed, or what kept the watch from being made.
	Err error
}

// WatchFunc watches a key, or a range of keys with [Prefix], [Range] or [FromKey], from now on or from [AtRevision].
// fn gets what happens, in order, from the goroutine that reads the stream, one call at a time for all watches of a client: it must not block.
//
// The watch outlives broken connections and unavailable members: it is resumed behind the last event. stop ends it;
// it may be called from fn, and a call of fn may be under way when it returns.
//
// A watch from a revision that lies behind is served by etcd every 100 ms only, until it has caught up; one from now on
// is served at once.
func (c *Client) WatchFunc(key string, fn func(WatchResponse), opts ...Option) (stop func(), err error) {
	op := opWatch(key, opts)
	if op.wrong != "" {
		return nil, invalid("watch", "%s", op.wrong)
	}
	from, to, err := bounds(c.cfg.Namespace, key, op.span, op.end)
	if err != nil {
		return nil, invalid("watch", "%v", err)
	}
	w := &watch{
		key: from, end: to, next: op.revision, prevKV: op.prevKV,
		noPut: op.noPut, noDelete: op.noDelete, notify: op.notify, fn: fn,
	}
	if !c.hub.add(w) {
		return nil, &Error{Op: "watch", cause: ErrClosed}
	}
	return func() { c.hub.remove(w) }, nil
}
