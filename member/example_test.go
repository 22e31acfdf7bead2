package member_test

import (
	"context"
	"fmt"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/member"
)

// The examples assume a program that has made a client once.
var client *gateway.Client

// A service registers its address. Another process finds it.
func ExampleJoin() {
	ctx := context.Background()
	m, err := member.Join(ctx, client, "services/api", &member.Options{
		ID: "api-0", Value: "10.0.0.7:8080",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := member.Members(ctx, client, "services/api")
	for _, m := range view.Members {
		fmt.Println(m.ID, m.Value, err)
	}
	fmt.Println(m.Leave(ctx))
	// Output:
	// api-0 10.0.0.7:8080 <nil>
	// <nil>
}

// A client follows the members of a group.
func ExampleObserve() {
	ctx := context.Background()
	m, err := member.Join(ctx, client, "services/web", &member.Options{ID: "web-0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for view, err := range member.Observe(ctx, client, "services/web") {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(view.Members), "members")
		if len(view.Members) == 0 {
			return
		}
		fmt.Println("left:", m.Leave(ctx))
	}
	// Output:
	// 1 members
	// left: <nil>
	// 0 members
}
