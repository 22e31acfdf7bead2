package gateway

// Option modifies one request. An option on a request that it does not apply to is ErrInvalid.
type Option struct {
	name string
	on   opKind
	set  func(*Op)
}

// opKind is a set of operations.
type opKind uint8

const (
	kindGet opKind = 1 << iota
	kindPut
	kindDelete
	kindTxn
	kindWatch
)

// Prefix extends a Get, Delete or Watch to all keys that begin with the key given; with the empty key, to all keys.
func Prefix() Option {
	return Option{"Prefix", kindGet | kindDelete | kindWatch, func(o *Op) { o.span, o.end = spanPrefix, "" }}
}

// Range extends a Get, Delete or Watch to the keys from the one given up to, not including, end.
func Range(end string) Option {
	return Option{"Range", kindGet | kindDelete | kindWatch, func(o *Op) { o.span, o.end = spanRange, end }}
}

// FromKey extends a Get, Delete or Watch to the key given and all that sort after it.
func FromKey() Option {
	return Option{"FromKey", kindGet | kindDelete | kindWatch, func(o *Op) { o.span, o.end = spanFrom, "" }}
}

// AtRevision reads as of a revision; a Watch begins with the events of that revision.
func AtRevision(rev int64) Option {
	return Option{"AtRevision", kindGet | kindWatch, func(o *Op) { o.revision = rev }}
}

// Limit returns at most n keys; [GetResponse] says whether there are more.
func Limit(n int64) Option {
	return Option{"Limit", kindGet, func(o *Op) { o.limit = n }}
}

// SortTarget names what SortBy sorts by.
type SortTarget string

// What keys can be sorted by.
const (
	SortKey            SortTarget = "KEY"
	SortVersion        SortTarget = "VERSION"
	SortCreateRevision SortTarget = "CREATE"
	SortModRevision    SortTarget = "MOD"
	SortValue          SortTarget = "VALUE"
)

// SortOrder is the direction of SortBy.
type SortOrder string

// The directions of SortBy.
const (
	Ascend  SortOrder = "ASCEND"
	Descend SortOrder = "DESCEND"
)

// SortBy orders the keys of a Get. Without it they come in key order.
func SortBy(target SortTarget, order SortOrder) Option {
	return Option{"SortBy", kindGet, func(o *Op) { o.sortTarget, o.sortOrder = target, order }}
}

// KeysOnly leaves out the values. etcd 3.7 leaves out the lease IDs as well.
func KeysOnly() Option { return Option{"KeysOnly", kindGet, func(o *Op) { o.keysOnly = true }} }

// CountOnly returns only the number of keys.
func CountOnly() Option { return Option{"CountOnly", kindGet, func(o *Op) { o.countOnly = true }} }

// Serializable lets any member answer a Get from what it has, which may be old. Without it a Get is linearizable.
func Serializable() Option {
	return Option{"Serializable", kindGet, func(o *Op) { o.serializable = true }}
}

// WithLease binds the key of a Put to a lease: it goes when the lease goes.
func WithLease(id LeaseID) Option {
	return Option{"WithLease", kindPut, func(o *Op) { o.lease = id }}
}

// PrevKV returns what a Put, a Delete or each event of a Watch replaced.
func PrevKV() Option {
	return Option{"PrevKV", kindPut | kindDelete | kindWatch, func(o *Op) { o.prevKV = true }}
}
