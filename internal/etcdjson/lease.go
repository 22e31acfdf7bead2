package etcdjson

// KeepAliveAnswer is the answer to the renewal of one lease.
type KeepAliveAnswer struct {
	Header Header
	ID     int64
	TTL    int64
}

// KeepAlive reads a message of a stream of renewals. It reports whether the message has a "result",
// which errors do not have.
func (r *Reader) KeepAlive(a *KeepAliveAnswer) (ok bool) {
	return r.result(func() {
		r.object(func(name []byte) {
			switch string(name) {
			case "header":
				r.header(&a.Header)
			case "ID":
				a.ID = r.int()
			case "TTL":
				a.TTL = r.int()
			default:
				r.skip()
			}
		})
	})
}
