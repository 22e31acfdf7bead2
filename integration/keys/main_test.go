// Package keys_test compares docs/keys.md with the keys that the library writes.
package keys_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
