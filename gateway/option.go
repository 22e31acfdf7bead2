package gateway

// Option modifies one request. A call returns ErrInvalid when an option does not apply to it. It is
// a value that may be copied and used again.
type Option struct {
	name string
	on   opKind
	set  func(Op) Op // by value: with a pointer every Op would be on the heap
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

// extend sets the range of a key. Two ranges exclude each other.
func extend(name string, span spanKind, end string) Option {
	return Option{name, kindGet | kindDelete | kindWatch, func(o Op) Op {
		if o.span != spanKey {
			o.wrong = "only one of the options Prefix, Range and FromKey fits"
		}
		o.span, o.end = span, end
		return o
	}}
}

// Prefix extends a Get, Delete or Watch to all keys that begin with the key; with the empty key, to
// all keys.
func Prefix() Option { return extend("Prefix", spanPrefix, "") }

// Range extends a Get, Delete or Watch to the keys from the key up to, not including, end.
func Range(end string) Option { return extend("Range", spanRange, end) }

// FromKey extends a Get, Delete or Watch to the key and all that sort after it, up to the end of
// the namespace.
func FromKey() Option { return extend("FromKey", spanFrom, "") }

// AtRevision reads as of a revision; a Watch begins with the events of that revision.
func AtRevision(rev int64) Option {
	return Option{"AtRevision", kindGet | kindWatch, func(o Op) Op { o.revision = rev; return o }}
}

// Limit returns at most n keys; [GetResponse] reports whether there are more. 0 is no limit.
func Limit(n int64) Option {
	return Option{"Limit", kindGet, func(o Op) Op { o.limit = n; return o }}
}

func chooses(name string, set func(*choice)) Option {
	return Option{name, kindGet, func(o Op) Op { return o.choose(set) }}
}

// MinModRevision omits the keys that were last changed before rev. The server still reads the whole
// range.
func MinModRevision(rev int64) Option {
	return chooses("MinModRevision", func(c *choice) { c.minMod = rev })
}

// MaxModRevision omits the keys that were last changed after rev. The server still reads the whole
// range.
func MaxModRevision(rev int64) Option {
	return chooses("MaxModRevision", func(c *choice) { c.maxMod = rev })
}

// MinCreateRevision omits the keys that were created before rev. The server still reads the whole
// range.
func MinCreateRevision(rev int64) Option {
	return chooses("MinCreateRevision", func(c *choice) { c.minCreate = rev })
}

// MaxCreateRevision omits the keys that were created after rev. The server still reads the whole
// range.
func MaxCreateRevision(rev int64) Option {
	return chooses("MaxCreateRevision", func(c *choice) { c.maxCreate = rev })
}

// SortTarget is the field by which [SortBy] sorts keys.
type SortTarget string

// The fields that keys can be sorted by.
const (
	SortKey            SortTarget = "KEY"
	SortVersion        SortTarget = "VERSION"
	SortCreateRevision SortTarget = "CREATE"
	SortModRevision    SortTarget = "MOD"
	SortValue          SortTarget = "VALUE"
)

// SortOrder is the direction in which [SortBy] sorts keys.
type SortOrder string

// The directions of SortBy.
const (
	Ascend  SortOrder = "ASCEND"
	Descend SortOrder = "DESCEND"
)

// SortBy sorts the keys of a Get, before a Limit cuts them. Without it they are in key order. For
// any other order the server reads the whole range.
func SortBy(target SortTarget, order SortOrder) Option {
	return chooses("SortBy", func(c *choice) {
		c.sorted, c.sortTarget, c.sortOrder = true, target, order
	})
}

// KeysOnly omits the values. etcd 3.7 omits the lease IDs as well.
func KeysOnly() Option {
	return Option{"KeysOnly", kindGet, func(o Op) Op { o.keysOnly = true; return o }}
}

// CountOnly returns only the number of keys in the range. It excludes options that choose or order
// keys, because etcd would count without them.
func CountOnly() Option {
	return Option{"CountOnly", kindGet, func(o Op) Op { o.countOnly = true; return o }}
}

// Serializable lets any member answer a Get from its own copy, which may be old. Without it a Get
// is linearizable.
func Serializable() Option {
	return Option{"Serializable", kindGet | kindMembers, func(o Op) Op {
		o.serializable = true
		return o
	}}
}

// WithLease attaches the key of a Put to a lease: the key is deleted when the lease ends.
func WithLease(id LeaseID) Option {
	return Option{"WithLease", kindPut, func(o Op) Op { o.lease = id; return o }}
}

// IgnoreValue makes a Put keep the value of the key and change the rest, such as its lease. The
// value of the Put must be empty. The Put returns ErrInvalid when the key does not exist.
func IgnoreValue() Option {
	return Option{"IgnoreValue", kindPut, func(o Op) Op { o.ignoreValue = true; return o }}
}

// IgnoreLease makes a Put keep the lease of the key; without it, and without WithLease, a Put
// detaches the key from its lease. The Put returns ErrInvalid when the key does not exist.
func IgnoreLease() Option {
	return Option{"IgnoreLease", kindPut, func(o Op) Op { o.ignoreLease = true; return o }}
}

// PrevKV returns the key as it was before a Put, a Delete or each event of a Watch.
func PrevKV() Option {
	return Option{"PrevKV", kindPut | kindDelete | kindWatch, func(o Op) Op {
		o.prevKV = true
		return o
	}}
}

// NoPut omits puts from a Watch.
func NoPut() Option {
	return Option{"NoPut", kindWatch, func(o Op) Op { o.noPut = true; return o }}
}

// NoDelete omits deletions from a Watch, also deletions by expired leases.
func NoDelete() Option {
	return Option{"NoDelete", kindWatch, func(o Op) Op { o.noDelete = true; return o }}
}

// ProgressNotify makes a Watch report its progress ([WatchResponse].Progress) when it has been
// quiet for a while, every ten minutes unless etcd is configured otherwise, and when
// [Client.RequestProgress] asks. Reports of members before 3.4.25 and 3.5.8 are dropped, because
// they may cover events that are still to be sent.
func ProgressNotify() Option {
	return Option{"ProgressNotify", kindWatch, func(o Op) Op { o.notify = true; return o }}
}

// Patient allows the events of a Watch to come late after its stream has died unnoticed. A stream
// is checked after 2 s of silence, or after 30 s if all its watches are patient, which costs etcd
// less.
func Patient() Option {
	return Option{"Patient", kindWatch, func(o Op) Op { o.patient = true; return o }}
}

// Physical makes a Compact wait until the member that serves it has removed the old revisions from
// its database.
func Physical() Option {
	return Option{"Physical", kindCompact, func(o Op) Op { o.physical = true; return o }}
}
