package gateway

// Puts reports whether the operation, or one nested in it in either branch, puts a key. While etcd's database is full it
// refuses such operations, and a transaction that has one anywhere, with [ErrNoSpace]; it takes all others.
func (o Op) Puts() bool {
	if o.kind != kindTxn {
		return o.kind == kindPut
	}
	return anyPuts(o.txn.Then) || anyPuts(o.txn.Else)
}

func anyPuts(ops []Op) bool {
	for _, o := range ops {
		if o.Puts() {
			return true
		}
	}
	return false
}
