package inspect

import (
	"slices"
	"strings"
)

// Twins returns the names that are used both with and without a slash at the end, because perhaps
// one was meant. It returns them without the slash.
func Twins(places []Place) []string {
	names := map[string]bool{}
	for _, p := range places {
		names[p.Name] = true
	}
	var twins []string
	for name := range names {
		if base, slash := strings.CutSuffix(name, "/"); slash && names[base] {
			twins = append(twins, base)
		}
	}
	slices.Sort(twins)
	return twins
}
