package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// building the report of the night, late: false
	// building the report of the night, late: false
}
