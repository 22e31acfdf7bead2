package gateway

import "bytes"

// Txn is a transaction: if all compares hold, Then is applied, else Else, atomically at one
// revision. etcd accepts at most 128 operations, by default, and no two writes of one key. It is a
// value; its slices must not be changed during a call.
type Txn struct {
	If   []Cmp
	Then []Op
	Else []Op
}

// Cmp is one compare of a [Txn]. [CmpCreateRevision], [CmpModRevision], [CmpVersion], [CmpLease]
// and [CmpValue] create one. It is a value that may be copied and used again.
type Cmp struct {
	target string
	rel    Relation
	key    string
	span   spanKind
	end    string
	number int64
	value  []byte
}

// Relation says how a [Cmp] compares the stored value (left) with the given one (right).
type Relation string

// The relations that etcd knows.
const (
	Equal    Relation = "EQUAL"
	NotEqual Relation = "NOT_EQUAL"
	Less     Relation = "LESS"
	Greater  Relation = "GREATER"
)

var relations = []Relation{Equal, NotEqual, Less, Greater}

// CmpCreateRevision compares the revision that created the key; it is 0 for a key that does not
// exist.
func CmpCreateRevision(key string, rel Relation, rev int64) Cmp {
	return Cmp{target: "CREATE", rel: rel, key: key, number: rev}
}

// CmpModRevision compares the revision that last changed the key; it is 0 for a key that does not
// exist.
func CmpModRevision(key string, rel Relation, rev int64) Cmp {
	return Cmp{target: "MOD", rel: rel, key: key, number: rev}
}

// CmpVersion compares how often the key was written since it was created; it is 0 for a key that
// does not exist.
func CmpVersion(key string, rel Relation, n int64) Cmp {
	return Cmp{target: "VERSION", rel: rel, key: key, number: n}
}

// CmpLease compares the lease of the key; it is 0 without one.
func CmpLease(key string, rel Relation, id LeaseID) Cmp {
	return Cmp{target: "LEASE", rel: rel, key: key, number: int64(id)}
}

// CmpValue compares the value of the key. It never holds for a key that does not exist. The value
// is copied.
func CmpValue(key string, rel Relation, value []byte) Cmp {
	return Cmp{target: "VALUE", rel: rel, key: key, value: bytes.Clone(value)}
}

// Prefix makes the compare hold only if it holds for every key with that prefix. Over no keys at
// all it is as for one key that does not exist: CmpCreateRevision(p, Equal, 0).Prefix() means "no
// key begins with p".
func (c Cmp) Prefix() Cmp {
	c.span, c.end = spanPrefix, ""
	return c
}

// Range makes the compare hold only if it holds for every key from the given one up to, not
// including, end. See Prefix.
func (c Cmp) Range(end string) Cmp {
	c.span, c.end = spanRange, end
	return c
}

// FromKey makes the compare hold only if it holds for the given key and all that sort after it, up
// to the end of the namespace. See Prefix.
func (c Cmp) FromKey() Cmp {
	c.span, c.end = spanFrom, ""
	return c
}
