package main

import (
	"testing"

	"github.com/holdfast-go/holdfast/examples/internal/localtest"
)

func TestFailure(t *testing.T) { localtest.FailsWithoutEtcd(t, main) }
