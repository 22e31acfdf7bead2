package gateway

// Puts reports whether the operation, or one nested in it in either branch, puts a key. While
// etcd's database is full, etcd rejects such operations, and transactions that contain one, with
// [ErrNoSpace]; it accepts all others.
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
