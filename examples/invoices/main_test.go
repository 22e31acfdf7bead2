package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// numbers [1 2 3 4 5 6 7 8 9 10]
	// stored  [1 2 3 4 5 6 7 8 9 10]
}
