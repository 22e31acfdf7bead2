package main

import (
	"os"
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("FLEET_WORKER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestAnExampleWithoutEtcdSaysSoAndFails(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }

func Example() {
	main()
	// Output:
	// three workers: map[a:4 b:4 c:4]
	// c is killed:   map[a:6 b:6]
	// d is added:    map[a:4 b:4 d:4]
}
