package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/holdfast-go/holdfast/cache"
	"github.com/holdfast-go/holdfast/integration/faults/history"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/stm"
)

// The places of shared state.
const (
	Bank   = "bank"
	Tokens = "tokens"
)

// The sizes of shared state.
const (
	Accounts   = 20
	TokenBurst = 10
	TokenRate  = 50 // in a second
)

var bank = history.Banks{Place: Bank}

// transfers moves amounts between accounts.
func (w *worker) transfers(last *atomic.Int64) {
	account := func(i int) string { return fmt.Sprintf("%s%02d", bank.AccountPrefix(), i) }
	for w.rest(10 * pace) {
		from := rand.IntN(Accounts)
		to := (from + 1 + rand.IntN(Accounts-1)) % Accounts
		op := w.begin(Bank, history.Transfer, nil)
		token := op.Token()
		ctx, cancel := w.patience(16)
		revision, err := stm.Do(ctx, w.s, func(tx *stm.Tx) error {
			tx.Put(bank.LogKey(token), nil)
			return errors.Join(add(tx, account(from), -1), add(tx, account(to), 1))
		}, nil)
		cancel()
		w.rec.End(op, outcome(err), err, func(o *history.Op) { o.Revision = revision })
		if err == nil {
			last.Store(revision)
		}
	}
}

func add(tx *stm.Tx, key string, n int) error {
	value, err := tx.Get(key)
	if err != nil {
		return err
	}
	old := 0
	if value != nil {
		if old, err = strconv.Atoi(string(value)); err != nil {
			return err
		}
	}
	tx.Put(key, strconv.AppendInt(nil, int64(old+n), 10))
	return nil
}

// copies looks at a cache of the accounts, which has to include the party's own last transfer.
func (w *worker) copies(last *atomic.Int64) {
	var c *cache.Cache
	for c == nil {
		var err error
		if c, err = cache.Open(w.ctx, w.client, bank.AccountPrefix(), &cache.Options{
			CheckInterval: time.Second,
		}); err != nil && !w.rest(10*pace) {
			return
		}
	}
	defer c.Close()
	for w.rest(20 * pace) {
		revision := last.Load()
		op := w.begin(Bank, history.Copy, func(o *history.Op) { o.Round = revision })
		err := c.WaitRevision(w.ctx, revision)
		s := c.Snapshot()
		keys := map[string]int64{}
		for kv := range s.Range("") {
			keys[kv.Key] = kv.ModRevision
		}
		w.rec.End(op, got(err), err, func(o *history.Op) {
			o.Revision, o.Value = s.Revision(), history.Image(keys)
		})
	}
}

// takes takes tokens of a strict limit.
func (w *worker) takes() {
	l := limit.New(w.s, Tokens, limit.Rate{Tokens: TokenRate, Per: time.Second, Burst: TokenBurst},
		&limit.Options{Strict: true})
	for w.rest(10 * pace) {
		op := w.begin(Tokens, history.Take, nil)
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		err := l.Wait(ctx, 1)
		cancel()
		w.rec.End(op, got(err), err, nil)
	}
}
