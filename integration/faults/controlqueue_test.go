package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	recipes "go.etcd.io/etcd/client/v3/experimental/recipes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestControlOfQueues: the queue of etcd's recipes loses and duplicates items if answers to
// transactions are dropped, as in F10, and its users retry. If it does not, the answers are not
// dropped.
func TestControlOfQueues(t *testing.T) {
	// One in three at random, because a fixed pattern would always lose one of two duplicates.
	const items, every = 90, 3
	cluster := etcdtest.Start(t, &etcdproc.Options{
		Version: etcdproc.Versions()[0], UnsafeNoFsync: true,
		ExtraArgs: recipetest.Server("").ExtraArgs,
	})
	var dropped atomic.Int64
	client, err := clientv3.New(clientv3.Config{
		Endpoints: cluster.Endpoints(),
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(func(
			ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
			invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
		) error {
			err := invoke(ctx, method, req, reply, cc, opts...)
			if err == nil && method == "/etcdserverpb.KV/Txn" && rand.N(every) == 0 {
				dropped.Add(1)
				return status.Error(codes.Unavailable, "the answer was dropped")
			}
			return err
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	q := recipes.NewQueue(client, "control")
	for i := range items {
		for q.Enqueue(fmt.Sprint(i)) != nil { // a program that must not lose the item retries
			continue
		}
	}
	got := map[string]int{}
	for left := int64(1); left > 0; {
		if value, err := q.Dequeue(); err == nil {
			got[value]++
		}
		resp, err := client.Get(recipetest.Within(t, recipetest.Patience), "control",
			clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		left = resp.Count
	}
	lost, doubled := 0, 0
	for i := range items {
		switch n := got[fmt.Sprint(i)]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	t.Logf("figure: recipes.Queue, %d answers dropped: of %d items %d lost, %d doubled",
		dropped.Load(), items, lost, doubled)
	if lost == 0 || doubled == 0 {
		t.Error("the control does not fail any more")
	}
}
