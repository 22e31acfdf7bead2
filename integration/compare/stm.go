package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/stm"
)

// accounts is the number of keys of the transfers: few transfers meet another one.
const accounts = 1000

// transfers: so many goroutines of one client move an amount between two of all accounts, with the
// same isolation, and with both accounts known in advance. With cached, holdfast uses the values
// that its session remembers, and each account was part of a transfer before.
func transfers(goroutines int, cached bool) work {
	return func(e env, lib library) (result, error) {
		return withClient(e, lib, func(c client) (result, error) {
			account := func(i int) string { return fmt.Sprintf("%s/%d", e.name, i) }
			for i := 0; cached && i < accounts; i += 2 {
				if err := c.transfer(e.ctx, account(i), account(i+1), cached); err != nil {
					return result{}, err
				}
			}
			return rate(e, goroutines, func(int) cycle {
				return func(ctx context.Context) error {
					from := rand.IntN(accounts)
					to := (from + 1 + rand.IntN(accounts-1)) % accounts
					return c.transfer(ctx, account(from), account(to), cached)
				}
			})
		})
	}
}

func (o *ours) transfer(ctx context.Context, from, to string, cached bool) error {
	add := func(tx *stm.Tx, key string, n int) error {
		value, err := tx.Get(key)
		if err == nil {
			tx.Put(key, []byte(plus(string(value), n)))
		}
		return err
	}
	_, err := stm.Do(ctx, o.s, func(tx *stm.Tx) error {
		return errors.Join(add(tx, from, -1), add(tx, to, 1))
	}, &stm.Options{
		Isolation: stm.SerializableSnapshot, Prefetch: []string{from, to}, Cache: cached,
	})
	return err
}

func (t *theirs) transfer(ctx context.Context, from, to string, _ bool) error {
	_, err := concurrency.NewSTM(t.c, func(tx concurrency.STM) error {
		tx.Put(from, plus(tx.Get(from), -1))
		tx.Put(to, plus(tx.Get(to), 1))
		return nil
	}, concurrency.WithIsolation(concurrency.SerializableSnapshot), concurrency.WithPrefetch(from, to),
		concurrency.WithAbortContext(ctx))
	return err
}

// bareTransactions: one goroutine sends transactions that compare and put one key. The ratio is the
// price of a request through the gateway.
func bareTransactions(e env, lib library) (result, error) {
	return withClient(e, lib, func(c client) (result, error) {
		return rate(e, 1, func(int) cycle {
			return func(ctx context.Context) error { return c.swap(ctx, e.name) }
		})
	})
}

func (o *ours) swap(ctx context.Context, key string) error {
	_, err := o.c.Txn(ctx, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpModRevision(key, gateway.Greater, 0)},
		Then: []gateway.Op{gateway.OpPut(key, nil)}, Else: []gateway.Op{gateway.OpPut(key, nil)},
	})
	return err
}

func (t *theirs) swap(ctx context.Context, key string) error {
	_, err := t.c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), ">", 0)).
		Then(clientv3.OpPut(key, "")).Else(clientv3.OpPut(key, "")).Commit()
	return err
}

// plus adds to a number, which is 0 if the text is empty.
func plus(text string, n int) string {
	old, _ := strconv.Atoi(text)
	return strconv.Itoa(old + n)
}
