package limit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/limit"
	"github.com/holdfast-go/holdfast/session"
)

// The examples assume a program that has made a client once, and has a session from session.New or
// session.Run.
var (
	client *gateway.Client
	s      *session.Session
)

// All processes together call an API three times at once, and then once an hour.
func ExampleLimiter_Allow() {
	ctx := context.Background()
	l := limit.New(s, "geocoder", limit.Rate{Tokens: 1, Per: time.Hour, Burst: 3}, nil)
	for range 4 {
		ok, err := l.Allow(ctx, 1)
		fmt.Println(ok, err)
	}
	fmt.Println(l.Close(ctx))
	// Output:
	// true <nil>
	// true <nil>
	// true <nil>
	// false <nil>
	// <nil>
}

// The numbers of invoices have no gap that is larger than one for each failed call.
func ExampleIDs() {
	ctx := context.Background()
	ids := limit.NewIDs(s, "invoices", &limit.IDOptions{MaxBlock: 1})
	for range 2 {
		fmt.Println(ids.Next(ctx))
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}

func ExampleCounter_Add() {
	ctx := context.Background()
	c := limit.NewCounter(s, "visits")
	fmt.Println(c.Add(ctx, 2))
	fmt.Println(c.Add(ctx, 3))
	// Output:
	// 2 <nil>
	// 5 <nil>
}
