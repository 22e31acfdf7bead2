// Package keys_test holds docs/keys.md to what the library writes.
package keys_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
