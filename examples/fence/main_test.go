package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// the first holder writes: <nil>
	// the second holder writes: <nil> <nil>
	// the first holder writes: a later holder has written
	// balance: 130
}
