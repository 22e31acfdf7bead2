package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// phase 1 begins with 3 parts of phase 0
	// phase 1 begins with 3 parts of phase 0
	// phase 1 begins with 3 parts of phase 0
	// phase 2 begins with 3 parts of phase 1
	// phase 2 begins with 3 parts of phase 1
	// phase 2 begins with 3 parts of phase 1
}
