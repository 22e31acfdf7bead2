package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// hello from api-0
	// hello from api-1
	// api-1 has left
	// hello from api-0
}
