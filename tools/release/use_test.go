package main

import "testing"

// TestCheckModulesCanFail plants a module that nobody asked for.
func TestCheckModulesCanFail(t *testing.T) {
	t.Parallel()
	three := []string{
		"example.com/program", "github.com/cenkalti/backoff/v4", "github.com/google/uuid",
		library, "go.uber.org/goleak",
	}
	if err := checkModules(three); err != nil {
		t.Error(err)
	}
	if err := checkModules(append(three, "google.golang.org/grpc")); err == nil {
		t.Error("a fourth module is not noticed")
	}
}
