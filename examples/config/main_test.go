package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

// The changes may arrive together, and are in the order of the keys then.
func Example() {
	main()
	// Unordered output:
	// sender a@example.org workers 4
	// reloaded workers
	// reloaded sender
	// sender b@example.org workers 8
}
