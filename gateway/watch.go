package gateway

// Event is one change of a key.
type Event struct {
	// Deleted is true for a deletion, false for a put. Of a deleted key, KV has only Key and
	// ModRevision, the revision that deleted it.
	Deleted bool
	KV      KeyValue
	// PrevKV is set with PrevKV(), if the key existed and its history is not compacted.
	PrevKV *KeyValue
}

// WatchResponse is a report of a watch: its confirmation, events, its progress, or its end.
type WatchResponse struct {
	// Created says that the watch is confirmed and misses nothing after Revision. It is the first
	// report, once.
	Created bool
	// Revision is the store's revision when the watch was created, the revision of the last of
	// Events, or the revision of Progress.
	Revision int64
	// Events are in the order of their revisions. The events of one revision are in one report,
	// even if etcd sends them in fragments.
	Events []Event
	// Progress says that all events up to Revision were delivered. Only a watch made with
	// ProgressNotify reports it.
	Progress bool
	// Err ends the watch: ErrCompacted when events were lost to compaction (the [*Error] has the
	// CompactRevision), ErrPermissionDenied, ErrClosed, or the reason why the watch could not be
	// created.
	Err error
}

// maxWatchKeys is the size of the keys of a watch that etcd accepts with any value of its option
// --max-request-bytes. A larger request would end the stream, and with it all watches of the
// client, each time that the stream is opened again.
const maxWatchKeys = 512 << 10

// WatchFunc watches a key, or a range of keys with [Prefix], [Range] or [FromKey], from now on or
// from [AtRevision]. It does no I/O: the first call of fn reports that the watch is confirmed, or
// its error. Returns ErrInvalid when an option or the key is wrong or the keys of the range exceed
// 512 KiB, and ErrClosed when the client is closed.
//
// fn is called with the reports in order, in the goroutine that reads the stream, one call at a
// time for all watches of a client. It must not block, and a panic of fn ends the program. The
// watch continues after broken connections and unavailable members: it is resumed after the last
// event. stop ends it without a report. It may be called from fn, and a call of fn may be in flight
// when it returns. stop is safe for concurrent use.
//
// etcd serves a watch from an earlier revision only every 100 ms, until it has caught up; a watch
// from now on is served at once.
func (c *Client) WatchFunc(
	key string, fn func(WatchResponse), opts ...Option,
) (stop func(), err error) {
	op := opWatch(key, opts)
	if op.wrong != "" {
		return nil, invalid("watch", "%s", op.wrong)
	}
	from, to, err := bounds(c.cfg.Namespace, key, op.span, op.end)
	if err != nil {
		return nil, invalid("watch", "%v", err)
	}
	if n := len(from) + len(to); n > maxWatchKeys {
		return nil, invalid("watch", "a key and an end of %d bytes; %d are possible", n, maxWatchKeys)
	}
	w := &watch{
		key: from, end: to, next: op.revision, prevKV: op.prevKV,
		noPut: op.noPut, noDelete: op.noDelete, notify: op.notify, patient: op.patient, fn: fn,
	}
	if !c.hub.add(w) {
		return nil, &Error{Op: "watch", cause: ErrClosed}
	}
	return func() { c.hub.remove(w) }, nil
}
