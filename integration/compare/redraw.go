package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The paths of the files, relative to the directory of the documentation.
const (
	resultsFile = "performance.txt"
	pageFile    = "performance.md"
	plotPrefix  = "img/perf-"
)

// redraw makes the tables and plots of the page from the results that are kept beside it.
func redraw(docs string) error {
	f, err := os.Open(filepath.Join(docs, resultsFile))
	if err != nil {
		return err
	}
	found, err := parse(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	page, err := os.ReadFile(filepath.Join(docs, pageFile))
	if err != nil {
		return err
	}
	text, err := withTables(string(page), found)
	if err != nil {
		return err
	}
	files := map[string]string{pageFile: text}
	for name, drawing := range drawings(found) {
		files[plotPrefix+name+".svg"] = drawing
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(content), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// withTables puts each table between its two comments: <!-- table: NAME --> and <!-- end -->.
func withTables(page string, l lines) (string, error) {
	const end = "<!-- end -->"
	for name, table := range tables(l) {
		begin := "<!-- table: " + name + " -->\n"
		before, rest, ok := strings.Cut(page, begin)
		if !ok {
			return "", fmt.Errorf("the page has no %q", strings.TrimSpace(begin))
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return "", fmt.Errorf("table %s has no end", name)
		}
		page = before + begin + "\n" + table + "\n" + end + after
	}
	return page, nil
}

// tables returns the tables of the page, by name.
func tables(l lines) map[string]string {
	all := map[string]string{
		"about":  "Measured on: " + l.about + ".\n",
		"ratios": ratioTable(l, "ratio", "clientv3"),
		"floor":  ratioTable(l, "floor", "bare puts"),
		"costs":  costTable(l),
	}
	for _, name := range []string{"here", "line", "backlog", "sessions", "watches", "failover"} {
		all[name] = seriesTable(l, name)
	}
	return all
}

func ratioTable(l lines, kind, other string) string {
	var t table
	t.head("case", "ratio", "lowest", "highest", "holdfast", other, "")
	for _, r := range l.ratios {
		if r.kind == kind {
			t.row("`"+r.name+"`", "**"+short(r.mid)+"**", short(r.low), short(r.high), short(r.ours),
				short(r.theirs), unit(r.unit))
		}
	}
	return t.String()
}

func costTable(l lines) string {
	var t table
	t.head("case", "client CPU, holdfast", "clientv3", "server CPU, holdfast", "clientv3",
		"allocations, holdfast", "clientv3")
	for _, r := range l.ratios {
		if r.kind == "ratio" && r.ourCost != (cost{}) {
			t.row("`"+r.name+"`",
				known(r.ourCost.client), known(r.theirCost.client),
				known(r.ourCost.server), known(r.theirCost.server),
				known(r.ourCost.allocs), known(r.theirCost.allocs))
		}
	}
	return t.String()
}

func seriesTable(l lines, series string) string {
	var t table
	t.head("", "size", "holdfast", "clientv3", "")
	var metrics []string
	seen := map[string]bool{}
	for _, p := range l.points {
		if p.series == series && !seen[p.metric] {
			metrics, seen[p.metric] = append(metrics, p.metric), true
		}
	}
	for _, metric := range metrics {
		for _, p := range l.series(series, metric) {
			t.row(strings.ReplaceAll(metric, "_", " "), thousands(p.size), short(p.ours), short(p.theirs),
				unit(p.unit))
		}
	}
	return t.String()
}

func unit(u string) string {
	switch u {
	case "-":
		return ""
	case "us":
		return "µs"
	default:
		return u
	}
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// table builds a Markdown table.
type table struct{ strings.Builder }

func (t *table) row(cells ...string) {
	t.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// head writes the first row: a column of text, then columns of figures. The last column may be
// text.
func (t *table) head(cells ...string) {
	t.row(cells...)
	t.row(append([]string{"---"}, strings.Fields(strings.Repeat("---: ", len(cells)-2)+"---")...)...)
}

// drawings returns the plots, by name.
func drawings(l lines) map[string]string {
	var all []bar
	for _, r := range l.ratios {
		if r.kind == "ratio" {
			all = append(all, bar{r.name, r.low, r.mid, r.high})
		}
	}
	return map[string]string{
		"ratios": bars("holdfast against clientv3", all),
		"own": plot("Locks that nobody else wants", "lock and unlock per second",
			"goroutines of one client", ownCurves(l)),
		"line": plot("What a release of one lock costs", "events sent per release",
			"clients in the line", pointCurves(l, "line", "events")),
		"linerate": plot("One lock that many clients want", "releases per second", "clients in the line",
			pointCurves(l, "line", "rate")),
		"backlog": plot("A queue beside its backlog", "items put and taken per second, one by one",
			"items that wait", pointCurves(l, "backlog", "rate")),
	}
}

func ownCurves(l lines) []curve {
	ours, theirs, puts := curve{name: "holdfast"}, curve{name: "clientv3"}, curve{name: "bare puts"}
	for _, goroutines := range []int{1, 16, 64, 256} {
		name, x := fmt.Sprintf("lock_own_c%d", goroutines), float64(goroutines)
		if r, ok := l.ratio("ratio", name); ok {
			ours.xs, ours.ys = append(ours.xs, x), append(ours.ys, r.ours)
			theirs.xs, theirs.ys = append(theirs.xs, x), append(theirs.ys, r.theirs)
		}
		if r, ok := l.ratio("floor", name); ok {
			puts.xs, puts.ys = append(puts.xs, x), append(puts.ys, r.theirs)
		}
	}
	return []curve{ours, theirs, puts}
}

func pointCurves(l lines, series, metric string) []curve {
	ours, theirs := curve{name: "holdfast"}, curve{name: "clientv3"}
	for _, p := range l.series(series, metric) {
		x := float64(p.size)
		ours.xs, ours.ys = append(ours.xs, x), append(ours.ys, p.ours)
		theirs.xs, theirs.ys = append(theirs.xs, x), append(theirs.ys, p.theirs)
	}
	return []curve{ours, theirs}
}
