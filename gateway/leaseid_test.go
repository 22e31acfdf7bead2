package gateway_test

import (
	"errors"
	"testing"

	"github.com/holdfast-go/holdfast/gateway"
)

func TestALeaseIDIsParsedFromItsHex(t *testing.T) {
	t.Parallel()
	for _, id := range []gateway.LeaseID{
		1, 0x21d7308ab46327f5, 1<<63 - 1,
		-1, gateway.NewLeaseID(),
	} {
		if got, err := gateway.ParseLeaseID(id.String()); err != nil || got != id {
			t.Errorf("%v is read as %v, %v", id, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "+1", "0x1", "1_0", "g", " 1", "10000000000000000"} {
		if got, err := gateway.ParseLeaseID(s); !errors.Is(err, gateway.ErrInvalid) || got != 0 {
			t.Errorf("%q is read as %v, %v", s, got, err)
		}
	}
}
