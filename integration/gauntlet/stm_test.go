package gauntlet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/reexec"
	"github.com/holdfast-go/holdfast/mutex"
)

// panicker is the process that the panic ends.
var panicker = reexec.Register("panicker", panicInSTM)

func panicInSTM(endpoint string) (status int) {
	defer func() { _ = recover() }()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err == nil {
		_, _ = concurrency.NewSTM(c, func(concurrency.STM) error { panic("of the caller") })
	}
	return 0
}

func panicKillsPeer(t *testing.T) (string, bool) {
	child := panicker.Command(t.Context(), cluster.Endpoints()[0])
	child.Stderr = nil // CombinedOutput sets it
	out, err := child.CombinedOutput()
	return saw("the process, with a recover: %v", err), err != nil &&
		strings.Contains(string(out), "panic: of the caller")
}

func panicKills(t *testing.T) string {
	m := mutex.New(plain(t), fresh(t), nil)
	err := begin(func() error {
		return m.Do(soon(t), func(context.Context, *mutex.Lock) error { panic("of the caller") })
	}).end(t)
	if err == nil || err.Error() != "panic: of the caller" {
		t.Errorf("Do = %v", err)
	}
	if _, err := m.TryLock(soon(t)); err != nil {
		t.Errorf("TryLock after it = %v", err)
	}
	return "it is recovered, and the lock is free"
}

// readUnguardedPeer reads a key, and then reads it together with another one. The other key changes
// before the commit.
func readUnguardedPeer(t *testing.T) (string, bool) {
	name, p := fresh(t), newPeer(t)
	known, other := name+"/known", name+"/other"
	put := func(key, value string) {
		_, err := etcd.Put(soon(t), key, value)
		must(t, err)
	}
	put(known, "known")
	put(other, "other")
	runs, got := 0, ""
	_, err := concurrency.NewSTM(p.Client, func(stm concurrency.STM) error {
		runs++
		stm.Get(known)
		got = stm.Get(other, known)
		put(other, fmt.Sprint("changed ", runs))
		stm.Put(name+"/copy", got)
		return nil
	})
	return saw("%v in run %d, having read %q", err, runs, got), err == nil && runs == 1 &&
		got == "known"
}

func readUnguarded(t *testing.T) string {
	s, name := plain(t), fresh(t)
	known, other := name+"/known", name+"/other"
	written, err := s.Txn(soon(t), gateway.Txn{Then: []gateway.Op{
		gateway.OpPut(known, []byte("known")), gateway.OpPut(other, []byte("other")),
	}})
	must(t, err)
	_, err = etcd.Put(soon(t), other, "changed")
	must(t, err)
	resp, err := s.Txn(soon(t), gateway.Txn{
		If: []gateway.Cmp{
			gateway.CmpModRevision(known, gateway.Equal, written.Revision),
			gateway.CmpModRevision(other, gateway.Equal, written.Revision),
		},
		Then: []gateway.Op{gateway.OpPut(name+"/copy", []byte("other"))},
	})
	if err != nil || resp.Succeeded || exists(t, name+"/copy") {
		t.Errorf("Txn = %+v, %v", resp, errors.Join(err))
	}
	return "the compare of each key is explicit, and holds"
}
