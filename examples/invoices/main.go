// Invoices numbers invoices from two processes. With blocks of one, only a number whose call failed
// is left out. Where the law allows no gap at all, the invoice is stored with its number in one
// transaction.
package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

const each = 5 // invoices of each process

func main() { local.Main(office) }

func office(ctx context.Context, cfg gateway.Config) error {
	var mu sync.Mutex
	var numbers, stored []int
	err := local.Together(ctx, 2, func(ctx context.Context, i int) error {
		client, err := gateway.New(cfg)
		if err != nil {
			return err
		}
		defer client.Close()
		return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
			ids := limit.NewIDs(s, "invoices", &limit.IDOptions{MaxBlock: 1})
			for n := range each {
				id, err := ids.Next(ctx)
				if err != nil {
					return err
				}
				number, err := store(ctx, s, fmt.Sprintf("invoice %d of process %d", n, i))
				if err != nil {
					return err
				}
				mu.Lock()
				numbers, stored = append(numbers, int(id)), append(stored, number)
				mu.Unlock()
			}
			return nil
		})
	})
	slices.Sort(numbers)
	slices.Sort(stored)
	fmt.Println("numbers", numbers)
	fmt.Println("stored ", stored)
	return err
}

// store stores an invoice under the next number. If it fails, the number stays free.
func store(ctx context.Context, s *session.Session, text string) (number int, err error) {
	_, err = stm.Do(ctx, s, func(tx *stm.Tx) error {
		last, err := tx.Get("ledger/last")
		if err != nil {
			return err
		}
		number = 1
		if last != nil {
			if number, err = strconv.Atoi(string(last)); err != nil {
				return err
			}
			number++
		}
		tx.Put("ledger/last", []byte(strconv.Itoa(number)))
		tx.Put(fmt.Sprintf("ledger/invoices/%06d", number), []byte(text))
		return nil
	}, &stm.Options{Prefetch: []string{"ledger/last"}})
	return number, err
}
