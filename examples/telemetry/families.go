package main

import (
	"slices"
	"strings"
)

// families returns the names and kinds of the library's metrics in a scrape.
func families(scrape string) (names []string) {
	for line := range strings.Lines(scrape) {
		name, ok := strings.CutPrefix(line, "# TYPE ")
		if ok && (strings.HasPrefix(name, "holdfast_") || strings.HasPrefix(name, "messaging_")) {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return names
}
