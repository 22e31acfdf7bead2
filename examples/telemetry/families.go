package main

import (
	"slices"
	"strings"
)

// families returns the names and kinds of the library's metrics in a scrape.
func families(scrape string) (names []string) {
	for line := range strings.Lines(scrape) {
		if rest, ok := strings.CutPrefix(line, "# TYPE holdfast_"); ok {
			names = append(names, "holdfast_"+strings.TrimSpace(rest))
		}
	}
	slices.Sort(names)
	return names
}
