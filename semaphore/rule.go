package semaphore

import (
	"strconv"

	"github.com/holdfast-go/holdfast/internal/line"
)

// The settings of the line.
const (
	limitSetting = "limit" // as declared
	sizeSetting  = "size"  // as resized
)

// parse returns the number in s, or 0 if this package does not write numbers in that form.
func parse(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || strconv.Itoa(n) != s {
		return 0
	}
	return n
}

// weigh returns the weight of a member. A member of another kind weighs as much as the current
// limit.
func weigh(m line.Member, size int) int {
	if w := parse(m.Value); w > 0 {
		return w
	}
	return size
}

// fill admits members in their order as long as they fit into the size, and returns how much of it
// they use.
func fill(v line.Snapshot) (size, used, admitted int) {
	if size = parse(v.Settings[sizeSetting]); size == 0 {
		return 0, 0, 0
	}
	for _, m := range v.Members {
		w := weigh(m, size)
		if w > size-used {
			break
		}
		used += w
		admitted++
	}
	return size, used, admitted
}

// admit is the rule of the line.
func admit(v line.Snapshot) int {
	_, _, admitted := fill(v)
	return admitted
}
