package stm_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
	"github.com/holdfast-go/holdfast/stm"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

var errPoor = errors.New("not enough money")

// Money moves from one account to another one, or the error says why not.
func ExampleDo() {
	ctx := context.Background()
	if _, err := client.Put(ctx, "accounts/1", []byte("100")); err != nil {
		fmt.Println(err)
	}
	pay := func(amount int) error {
		_, err := stm.Do(ctx, s, func(tx *stm.Tx) error {
			have, err := number(tx, "accounts/1")
			switch {
			case err != nil:
				return err
			case have < amount:
				return errPoor
			}
			tx.Put("accounts/1", []byte(strconv.Itoa(have-amount)))
			return add(tx, "accounts/2", amount)
		}, &stm.Options{Prefetch: []string{"accounts/1", "accounts/2"}})
		return err
	}
	fmt.Println(pay(70), pay(70))
	resp, err := client.Get(ctx, "accounts/", gateway.Prefix())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, kv := range resp.KVs {
		fmt.Printf("%s: %s\n", kv.Key, kv.Value)
	}
	// Output:
	// <nil> not enough money
	// accounts/1: 30
	// accounts/2: 70
}
