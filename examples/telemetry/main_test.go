package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// span: etcd txn in the trace: true
	// span: etcd txn in the trace: true
	// span: etcd txn in the trace: true
	// span: nightly in the trace: true
	// span: etcd revoke in the trace: true
	// holdfast.wait of 1
	// holdfast.held 0
}
