package inspect

import (
	"slices"
	"strings"
)

// Twins returns the names that are used both with a slash at the end and without: two lines that were perhaps meant to
// be one. They are named without the slash.
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
