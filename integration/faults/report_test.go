package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/integration/faults/history"
)

// gap returns the longest time without a success, from the fault until all recipes work again.
func (r *rig) gap(ops []history.Op, place, verb string) time.Duration {
	var at []int64
	for _, o := range ops {
		if o.Place == place && o.Verb == verb && o.Outcome == history.OK {
			at = append(at, o.Return)
		}
	}
	slices.Sort(at)
	var longest int64
	for i := 1; i < len(at); i++ {
		if at[i] >= r.began && at[i-1] <= r.healed {
			longest = max(longest, at[i]-at[i-1])
		}
	}
	return time.Duration(longest)
}

// report logs the run as a line of the table, with all details if it failed.
func report(
	t *testing.T, f fault, r *rig, res *result, seed uint64, took time.Duration, failures []string,
) {
	t.Helper()
	ok := 0
	for _, o := range res.ops {
		if o.Outcome == history.OK {
			ok++
		}
	}
	extra := slices.Clone(r.notes)
	if res.losses.Lost > 0 {
		extra = append(extra, fmt.Sprintf("%d sessions lost", res.losses.Lost))
	}
	if len(res.losses.Margins) > 0 {
		extra = append(extra, fmt.Sprintf("%d margins >= %v", len(res.losses.Margins),
			short(slices.Min(res.losses.Margins))))
	}
	if len(res.losses.Late) > 0 {
		extra = append(extra, fmt.Sprintf("%d taken early, learnt <= %v", len(res.losses.Late),
			short(slices.Max(res.losses.Late))))
	}
	if res.early > 0 {
		extra = append(extra, fmt.Sprintf("%d overlaps without a lock delay", res.early))
	}
	t.Logf("table: | %s | %s | %d of %d | %d | %d | %d | %v | %s |", f.name, f.what, res.works,
		len(r.recipes()), len(res.ops),
		res.unknown, len(res.Violations), res.gap.Round(time.Millisecond),
		strings.Join(extra, "; "))
	t.Logf("%s: %d of %d operations succeeded, %d revisions, %d holds overdue, %d adopted, "+
		"cached lock %+v, all worked again after %v, gaps %v, took %v", f.name, ok, len(res.ops),
		len(res.log), res.overdue, res.adopted, res.uses, res.recovery.Round(time.Millisecond),
		res.gaps, took.Round(time.Second))
	for i, v := range failures {
		if i == 20 {
			t.Errorf("and %d more", len(failures)-i)
			break
		}
		t.Error(v)
	}
	if t.Failed() {
		r.save(f, res, seed)
	}
}

func short(ns int64) time.Duration { return time.Duration(ns).Round(time.Millisecond) }
