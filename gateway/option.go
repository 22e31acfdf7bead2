package gateway

// Option modifies one request. An option on a request that it does not apply to is ErrInvalid.
type Option struct {
	name string
	on   opKind
	set  func(Op) Op // by value: a pointer would have every Op made on the heap
}

// opKind is a set of operations.
type opKind uint8

const (
	kindGet opKind = 1 << iota
	kindPut
	kindDelete
	kindTxn
	kindWatch
	kindCompact
)

// extend gives a key its range. Two ranges at once cannot both be meant.
func extend(name string, span spanKind, end string) Option {
	return Option{name, kindGet | kindDelete | kindWatch, func(o Op) Op {
		if o.span != spanKey {
			o.wrong = "only one of the options Prefix, Range and FromKey fits"
		}
		o.span, o.end = span, end
		return o
	}}
}

// Prefix extends a Get, Delete or Watch to all keys that begin with the key given; with the empty key, to all keys.
func Prefix() Option { return extend("Prefix", spanPrefix, "") }

// Range extends a Get, Delete or Watch to the keys from the one given up to, not including, end.
func Range(end string) Option { return extend("Range", spanRange, end) }

// FromKey extends a Get, Delete or Watch to the key given and all that sort after it, up to the end of the namespace.
func FromKey() Option { return extend("FromKey", spanFrom, "") }

// AtRevision reads as of a revision; a Watch begins with the events of that revision.
func AtRevision(rev int64) Option {
	return Option{"AtRevision", kindGet | kindWatch, func(o Op) Op { o.revision = rev; return o }}
}

// Limit returns at most n keys; [GetResponse] says whether there are more. 0 is no limit.
func Limit(n int64) Option {
	return Option{"Limit", kindGet, func(o Op) Op { o.limit = n; return o }}
}

// MinModRevision leaves out the keys that were last changed before rev. The server still reads the whole range.
func MinModRevision(rev int64) Option {
	return Option{"MinModRevision", kindGet, func(o Op) Op { o.minMod = rev; return o }}
}

// MaxModRevision leaves out the keys that were last changed after rev. The server still reads the whole range.
func MaxModRevision(rev int64) Option {
	return Option{"MaxModRevision", kindGet, func(o Op) Op { o.maxMod = rev; return o }}
}

// MinCreateRevision leaves out the keys that were created before rev. The server still reads the whole range.
func MinCreateRevision(rev int64) Option {
	return Option{"MinCreateRevision", kindGet, func(o Op) Op { o.minCreate = rev; return o }}
}

// MaxCreateRevision leaves out the keys that were created after rev. The server still reads the whole range.
func MaxCreateRevision(rev int64) Option {
	return Option{"MaxCreateRevision", kindGet, func(o Op) Op { o.maxCreate = rev; return o }}
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

// SortBy orders the keys of a Get, before a Limit cuts them. Without it they come in key order. For any other order the
// server reads the whole range.
func SortBy(target SortTarget, order SortOrder) Option {
	return Option{"SortBy", kindGet, func(o Op) Op { o.sorted, o.sortTarget, o.sortOrder = true, target, order; return o }}
}

// KeysOnly leaves out the values. etcd 3.7 leaves out the lease IDs as well.
func KeysOnly() Option {
	return Option{"KeysOnly", kindGet, func(o Op) Op { o.keysOnly = true; return o }}
}

// CountOnly returns only the number of keys in the range. Options that choose or order keys do not go with it: etcd would
// count without them.
func CountOnly() Option {
	return Option{"CountOnly", kindGet, func(o Op) Op { o.countOnly = true; return o }}
}

// Serializable lets any member answer a Get from what it has, which may be old. Without it a Get is linearizable.
func Serializable() Option {
	return Option{"Serializable", kindGet | kindMembers, func(o Op) Op { o.serializable = true; return o }}
}

// WithLease binds the key of a Put to a lease: it goes when the lease goes.
func WithLease(id LeaseID) Option {
	return Option{"WithLease", kindPut, func(o Op) Op { o.lease = id; return o }}
}

// IgnoreValue makes a Put keep the value that the key has and change the rest, such as its lease. The Put itself must
// give no value. A key that does not exist is ErrInvalid.
func IgnoreValue() Option {
	return Option{"IgnoreValue", kindPut, func(o Op) Op { o.ignoreValue = true; return o }}
}

// IgnoreLease makes a Put keep the lease that the key has; without it, and without WithLease, a Put takes the key off its
// lease. A key that does not exist is ErrInvalid.
func IgnoreLease() Option {
	return Option{"IgnoreLease", kindPut, func(o Op) Op { o.ignoreLease = true; return o }}
}

// PrevKV returns what a Put, a Delete or each event of a Watch replaced.
func PrevKV() Option {
	return Option{"PrevKV", kindPut | kindDelete | kindWatch, func(o Op) Op { o.prevKV = true; return o }}
}

// NoPut leaves puts out of a Watch.
func NoPut() Option { return Option{"NoPut", kindWatch, func(o Op) Op { o.noPut = true; return o }} }

// NoDelete leaves deletions out of a Watch, those of expired leases included.
func NoDelete() Option {
	return Option{"NoDelete", kindWatch, func(o Op) Op { o.noDelete = true; return o }}
}

// ProgressNotify makes a Watch report how far it has come ([WatchResponse].Progress) when it has been quiet for a while:
// every ten minutes unless etcd is set up otherwise, and when [Client.RequestProgress] asks. Members before 3.4.25 and
// 3.5.8 may report events as past that are still to come; of those there are no reports.
func ProgressNotify() Option {
	return Option{"ProgressNotify", kindWatch, func(o Op) Op { o.notify = true; return o }}
}

// Physical makes a Compact wait until the member that serves it has taken the old revisions out of its database.
func Physical() Option {
	return Option{"Physical", kindCompact, func(o Op) Op { o.physical = true; return o }}
}
