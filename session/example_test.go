package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/session"
)

// client is the one client of the program.
var client *gateway.Client

// A program makes its session itself.
func ExampleNew() {
	ctx := context.Background()
	s, err := session.New(ctx, client, &session.Options{TTL: 10 * time.Second, Name: "billing"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("trusted for a while:", time.Until(s.Deadline()) > 5*time.Second, s.Err())

	fmt.Println(s.Close(ctx))
	<-s.Context().Done()
	err = context.Cause(s.Context())
	fmt.Println(errors.Is(err, session.ErrLost), errors.Is(err, session.ErrClosed))
	// Output:
	// trusted for a while: true <nil>
	// <nil>
	// true true
}

// A program continues with a new session when one is lost. Here the lease of the first one is
// revoked.
func ExampleRun() {
	n := 0
	work := func(ctx context.Context, s *session.Session) error {
		if n++; n == 1 {
			if err := client.Revoke(context.Background(), s.Lease()); err != nil {
				return err
			}
			<-ctx.Done() // within one watch latency
			fmt.Println("lost:", errors.Is(context.Cause(ctx), session.ErrRevoked))
			return context.Cause(ctx)
		}
		fmt.Println("again, with a session that lives:", s.Err() == nil)
		return nil
	}
	err := session.Run(context.Background(), client, nil, work)
	fmt.Println(err)
	// Output:
	// lost: true
	// again, with a session that lives: true
	// <nil>
}

// A transaction of the program is applied at most once, also when its answer is lost.
func ExampleSession_Txn() {
	ctx := context.Background()
	s, err := session.New(ctx, client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(ctx)
	resp, err := s.Txn(ctx, gateway.Txn{
		If:   []gateway.Cmp{gateway.CmpCreateRevision("invoices/17", gateway.Equal, 0)},
		Then: []gateway.Op{gateway.OpPut("invoices/17", []byte("paid"))},
	})
	fmt.Println(resp.Succeeded, err)
	// Output: true <nil>
}
