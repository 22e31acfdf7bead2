package fakeetcd

// span is a range of keys that a transaction deletes.
type span struct{ from, end string }

// touches reports whether a key is in the span. Etcd compares the end as it is here, so that a zero
// byte does not mean all keys.
func (s span) touches(key string) bool {
	if s.end == "" {
		return key == s.from
	}
	return key >= s.from && key < s.end
}

// writes are the keys that operations put, and the ranges that they delete.
type writes struct {
	puts map[string]bool
	dels []span
}

func (w *writes) put(key string) error {
	for _, d := range w.dels {
		if d.touches(key) {
			return errDuplicateKey
		}
	}
	w.puts[key] = true
	return nil
}

// checkDuplicates returns an error if one branch puts a key twice, or puts and deletes it. The two
// branches of a nested transaction exclude each other, so they may put the same key.
func checkDuplicates(ops []operation) (*writes, error) {
	w := &writes{puts: map[string]bool{}}
	for _, op := range ops {
		if d := op.Delete; d != nil {
			w.dels = append(w.dels, span{string(d.Key), string(d.End)})
		}
	}
	for _, op := range ops {
		if op.Txn != nil {
			if err := w.addNested(op.Txn); err != nil {
				return nil, err
			}
		}
	}
	for _, op := range ops {
		if op.Put == nil {
			continue
		}
		key := string(op.Put.Key)
		if w.puts[key] {
			return nil, errDuplicateKey
		}
		if err := w.put(key); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *writes) addNested(t *txnRequest) error {
	success, err := checkDuplicates(t.Success)
	if err != nil {
		return err
	}
	failure, err := checkDuplicates(t.Failure)
	if err != nil {
		return err
	}
	for key := range success.puts {
		if w.puts[key] {
			return errDuplicateKey
		}
		if err := w.put(key); err != nil {
			return err
		}
	}
	for key := range failure.puts {
		if w.puts[key] && !success.puts[key] {
			return errDuplicateKey
		}
		if err := w.put(key); err != nil {
			return err
		}
	}
	w.dels = append(append(w.dels, success.dels...), failure.dels...)
	return nil
}
