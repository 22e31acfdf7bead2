package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-go/holdfast/integration/etcdproc"
)

// env is the environment of one measurement.
type env struct {
	ctx  context.Context // ends with the whole run
	etcd *etcdproc.Cluster
	dur  time.Duration // of one measurement
	name string        // a prefix for keys that no other measurement has
}

// result is the outcome of one run of the work.
type result struct {
	figures []float64 // one, or several, such as a median and a 99th percentile
	cost    cost
	points  []point // in the same order in all runs
}

// point is a figure that is shown without a ratio.
type point struct {
	metric string
	value  float64
	unit   string
}

// work is the code that a case measures. It uses the library that it is given.
type work func(e env, lib library) (result, error)

// comparison is a case. One run of its work returns one or more figures, or points, or both.
type comparison struct {
	name   string
	also   []string // names of the further figures
	unit   string
	units  []string // of the further figures, where they differ
	less   bool     // less of the figure is better
	quick  bool     // part of -quick
	on     server
	floor  bool // compared with bare puts, too
	long   bool // run only if -case names it
	rounds int  // at most this many, unless -case names it
	series string
	size   int  // the size of its points in the series
	mute   bool // its figures are only in the series
	work   work
}

// compare runs the case with the libraries in turn and returns its lines.
func (c comparison) compare(e env, rounds int) (lines, error) {
	libs := []library{holdfast{}, clientV3{}}
	if c.floor {
		libs = append(libs, barePuts{})
	}
	runs := make([][]result, len(libs))
	for i := range rounds {
		for turn := range libs { // so that no library is always first
			k := (turn + i) % len(libs)
			e.name = fmt.Sprintf("%s-%d-%d", c.name, i, k)
			r, err := c.measure(e, libs[k])
			if err != nil {
				return lines{}, fmt.Errorf("%s: %w", libs[k].id(), err)
			}
			runs[k] = append(runs[k], r)
		}
	}
	var found lines
	if !c.mute {
		found.ratios = append(found.ratios, c.ratios("ratio", runs[0], runs[1])...)
	}
	if c.floor {
		found.ratios = append(found.ratios, c.ratios("floor", runs[0], runs[2])...)
	}
	for i, p := range runs[0][0].points {
		value := func(r result) float64 { return r.points[i].value }
		found.points = append(found.points, pointLine{
			series: c.series, size: c.size, metric: p.metric, unit: p.unit,
			ours: medianOf(runs[0], value), theirs: medianOf(runs[1], value),
		})
	}
	return found, nil
}

func (c comparison) measure(e env, lib library) (result, error) {
	ctx, cancel := context.WithTimeout(e.ctx, 5*time.Minute)
	defer cancel()
	e.ctx = ctx
	return c.work(e, lib)
}

// ratios returns a line for each figure of the runs of two libraries. Only the first line has the
// cost.
func (c comparison) ratios(kind string, ours, theirs []result) (all []ratioLine) {
	for k, name := range append([]string{c.name}, c.also...) {
		figure := func(r result) float64 { return r.figures[k] }
		var ratios []float64
		for i := range ours {
			a, b := figure(ours[i]), figure(theirs[i])
			if c.less {
				a, b = b, a
			}
			ratios = append(ratios, a/b)
		}
		l := ratioLine{
			kind: kind, name: name, unit: c.unit,
			low: slices.Min(ratios), mid: median(ratios), high: slices.Max(ratios),
			ours: medianOf(ours, figure), theirs: medianOf(theirs, figure),
		}
		if k > 0 && k <= len(c.units) {
			l.unit = c.units[k-1]
		}
		if k == 0 {
			l.ourCost, l.theirCost = medianCost(ours), medianCost(theirs)
		}
		all = append(all, l)
	}
	return all
}

func medianCost(runs []result) cost {
	return cost{
		client: medianOf(runs, func(r result) float64 { return r.cost.client }),
		server: medianOf(runs, func(r result) float64 { return r.cost.server }),
		allocs: medianOf(runs, func(r result) float64 { return r.cost.allocs }),
	}
}

func medianOf(runs []result, value func(r result) float64) float64 {
	var all []float64
	for _, r := range runs {
		all = append(all, value(r))
	}
	return median(all)
}

func median(xs []float64) float64 { return percentile(xs, 50) }

func percentile(xs []float64, p int) float64 {
	if len(xs) == 0 {
		return 0
	}
	sorted := slices.Clone(xs)
	slices.Sort(sorted)
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
