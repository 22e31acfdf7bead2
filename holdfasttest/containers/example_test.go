package containers_test

import (
	"context"
	"testing"

	"github.com/holdfast-go/holdfast/holdfasttest/containers"
	"github.com/holdfast-go/holdfast/mutex"
)

func ExampleStart() {
	_ = func(t *testing.T) { //nolint:thelper // TestNightly in your program
		etcd := containers.Start(t, &containers.Options{Nodes: 3})
		s := etcd.Session(nil)
		etcd.Node(0).Stop() // a majority is left
		err := mutex.New(s, "jobs/nightly", nil).Do(t.Context(),
			func(context.Context, *mutex.Lock) error { return nil })
		if err != nil {
			t.Error(err)
		}
		etcd.Node(0).Start()
		etcd.WaitHealthy()
	}
	// Output:
}
