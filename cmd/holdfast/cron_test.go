package main

import (
	"slices"
	"testing"
	"time"
)

// TestATimeOfDayMayBeMissingOrTwice when clocks change, as docs/cli.md says.
func TestATimeOfDayMayBeMissingOrTwice(t *testing.T) {
	const spring, autumn = "2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"
	for _, tt := range []struct {
		words, after string
		want         []string
	}{
		{"30 2 * * *", spring, []string{"2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"}},
		{"30 2 * * *", autumn, []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"}},
		{"0 4 * * *", spring, []string{"2026-03-29T02:00:00Z", "2026-03-30T02:00:00Z"}},
		{"0 4 * * *", autumn, []string{"2026-10-25T03:00:00Z", "2026-10-26T03:00:00Z"}},
	} {
		schedule, _, err := parseSchedule(tt.words, "Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for range tt.want {
			at = schedule.Next(at)
			got = append(got, at.Format(time.RFC3339))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s after %s: %v", tt.words, tt.after, got)
		}
	}
}
