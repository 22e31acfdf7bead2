package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var sample = lines{
	about: "etcd 3.6.16, fsync on",
	ratios: []ratioLine{
		{
			kind: "ratio", name: "lock_own_c1", low: 0.5, mid: 0.75, high: 1.25, ours: 612, theirs: 8.25,
			unit: "/s", ourCost: cost{12.5, 100, 3}, theirCost: cost{7, 0, 260},
		},
		{kind: "floor", name: "lock_own_c1", low: 1, mid: 2, high: 3, ours: 1, theirs: 0.5, unit: "-"},
	},
	points: []pointLine{{"line", 10, "events", 20, 1.05, "-"}, {"line", 100, "events", 20, 0, "-"}},
}

func TestParse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	out.WriteString("# " + sample.about + "\n" + ratioHead + "\n" + pointHead + "\n")
	if err := sample.print(&out); err != nil {
		t.Fatal(err)
	}
	got, err := parse(strings.NewReader(out.String()))
	if err != nil || !reflect.DeepEqual(got, sample) {
		t.Errorf("%+v, %v\nof\n%s", got, err, out.String())
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "other lock 1 2 3", "point line", "point line x events 1 2 -", "point line 10 events 1 2 - 3",
		"ratio lock_own_c1 1 2 3",
	} {
		if got, err := parse(strings.NewReader(line + "\n")); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

// TestRatios: a ratio above 1 is better, also where less of the figure is better.
func TestRatios(t *testing.T) {
	t.Parallel()
	of := func(figures ...float64) (all []result) {
		for _, f := range figures {
			all = append(all, result{figures: []float64{f}})
		}
		return all
	}
	for _, less := range []bool{false, true} {
		c := comparison{name: "case", less: less}
		ours, theirs := of(20, 30, 60), of(10, 10, 10)
		if less {
			ours, theirs = theirs, ours
		}
		l := c.ratios("ratio", ours, theirs)[0]
		if l.low != 2 || l.mid != 3 || l.high != 6 {
			t.Errorf("less %t: %+v", less, l)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var xs []float64
	for i := range 200 {
		xs = append(xs, float64(200-i))
	}
	if p50, p99 := median(xs), percentile(xs, 99); p50 != 101 || p99 != 199 {
		t.Errorf("%v, %v", p50, p99)
	}
	if none := median(nil); none != 0 {
		t.Errorf("of nothing: %v", none)
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	a := around([]float64{0, 0.7, 33}, 0, 100)
	if got := a.ticks(); !near(got, []float64{0.5, 1, 2, 5, 10, 20, 50}) {
		t.Errorf("%v", got)
	}
	if from, to := a.at(0.5), a.at(50); from != 0 || math.Abs(to-100) > 1e-9 {
		t.Errorf("%v to %v", from, to)
	}
}

func near(a, b []float64) bool {
	for i := range a {
		if len(a) != len(b) || math.Abs(a[i]/b[i]-1) > 1e-9 {
			return false
		}
	}
	return true
}

// TestPage: the tables and plots of the documentation match the results that are kept with it.
func TestPage(t *testing.T) {
	t.Parallel()
	const docs = "../../docs"
	copied := filepath.Join(t.TempDir(), "docs")
	if err := os.CopyFS(copied, os.DirFS(docs)); err != nil {
		t.Fatal(err)
	}
	if err := redraw(copied); err != nil {
		t.Fatal(err)
	}
	plots, err := filepath.Glob(filepath.Join(copied, plotPrefix+"*.svg"))
	if err != nil || len(plots) == 0 {
		t.Fatal(plots, err)
	}
	for _, path := range append(plots, filepath.Join(copied, pageFile)) {
		name, err := filepath.Rel(copied, path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(docs, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what -redraw makes of the results (%v)", name, err)
		}
		if filepath.Ext(name) == ".svg" {
			wellFormed(t, name, want)
		}
	}
	page, err := os.ReadFile(filepath.Join(docs, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range plots {
		if !strings.Contains(string(page), plotPrefix+strings.TrimPrefix(filepath.Base(path), "perf-")) {
			t.Errorf("the page does not show %s", filepath.Base(path))
		}
	}
	for _, c := range cases {
		for _, name := range append([]string{c.name}, c.also...) {
			if !c.mute && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("the page does not say what %s is", name)
			}
		}
	}
}

func wellFormed(t *testing.T, name string, drawing []byte) {
	t.Helper()
	if strings.Contains(string(drawing), "NaN") {
		t.Errorf("%s has a place that is no number", name)
	}
	for d := xml.NewDecoder(bytes.NewReader(drawing)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}
