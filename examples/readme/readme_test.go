// Package readme holds the program of README.md, so that it is compiled.
package readme

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/mutex"
	"github.com/holdfast-go/holdfast/session"
)

func nightly(ctx context.Context) error {
	client, err := gateway.New(gateway.Config{Endpoints: []string{"http://127.0.0.1:2379"}})
	if err != nil {
		return err
	}
	defer client.Close()
	return session.Run(ctx, client, nil, func(ctx context.Context, s *session.Session) error {
		return mutex.New(s, "jobs/nightly").Do(ctx, func(ctx context.Context, lock *mutex.Lock) error {
			report := build(ctx) // ctx ends if the lock is lost, before the lease can run out
			_, err := lock.Txn(ctx, gateway.Txn{Then: []gateway.Op{gateway.OpPut("reports/nightly", report)}})
			return err // a write that comes too late is refused; Run then begins anew, with a new session
		})
	})
}

func build(context.Context) []byte { return []byte("all is well") }

// TestSame: the README shows the function above, as it is.
func TestSame(t *testing.T) {
	t.Parallel()
	_ = nightly // needs an etcd to run
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "\nfunc nightly(")
	code, _, found := strings.Cut(code, "\n}\n")
	if !found || !strings.Contains(string(readme), "```go\nfunc nightly("+code+"\n}\n```") {
		t.Error("README.md does not show the function nightly as it is here")
	}
}
