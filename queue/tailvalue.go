package queue

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/internal/line"
)

// maxTail is the greatest number in the tail's key. The items of one more transaction still have
// numbers of 16 digits.
const maxTail = 1e16 - 1 - maxBatch

// encodeTail returns the tail's value: the next number, the bound or "-", and the pressure. Parts
// at the end that say nothing are left out.
func encodeTail(next, bound int64, pressure int) []byte {
	out := strconv.AppendInt(nil, next, 10)
	switch {
	case bound != uncounted:
		out = fmt.Appendf(out, " %d", bound)
	case pressure > 0:
		out = append(out, " -"...)
	}
	if pressure > 0 {
		out = fmt.Appendf(out, " %d", pressure)
	}
	return out
}

// parseTail reads the tail's key.
func parseTail(got *gateway.GetResponse) (tail, error) {
	if len(got.KVs) == 0 {
		return tail{next: 1, bound: uncounted}, nil
	}
	kv := got.KVs[0]
	t := tail{bound: uncounted, mod: kv.ModRevision}
	parts := strings.Split(string(kv.Value), " ")
	ok := len(parts) <= 3
	number := func(i int, least, most int64) int64 {
		n, err := strconv.ParseInt(parts[i], 10, 64)
		ok = ok && err == nil && n >= least && n <= most
		return n
	}
	t.next = number(0, 1, maxTail)
	if len(parts) == 2 || len(parts) > 2 && parts[1] != "-" {
		t.bound = number(1, 0, maxTail)
	}
	if len(parts) > 2 {
		t.pressure = int(number(2, 1, maxPressure))
	}
	if !ok {
		return tail{}, line.CorruptKey(kv)
	}
	return t, nil
}
