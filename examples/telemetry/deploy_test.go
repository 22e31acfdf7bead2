package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-go/holdfast/examples/internal/local"
	"github.com/holdfast-go/holdfast/gateway"
)

// TestTheDashboardAndTheAlertsUseMetricsThatExist: each metric and each label in deploy/ is in a
// scrape of the example.
func TestTheDashboardAndTheAlertsUseMetricsThatExist(t *testing.T) {
	endpoint, stop, err := local.Etcd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	scrape := ""
	cfg := gateway.Config{Endpoints: []string{endpoint}}
	if err := measure(t.Context(), cfg, func(text string) { scrape = text }); err != nil {
		t.Fatal(err)
	}
	queries := append(dashboard(t), alerts(t)...)
	if len(queries) < 15 {
		t.Fatalf("%d queries", len(queries))
	}
	metric := regexp.MustCompile(`(holdfast_(client|session|hold|queue)|messaging)_(\w+_)?` +
		`(total|count|bucket|sum|active|streams)\b`)
	cause := regexp.MustCompile(`error_type(?:!=|=~)"([^"]+)"`)
	for _, q := range queries {
		for _, name := range metric.FindAllString(q, -1) {
			if !strings.Contains(scrape, "\n"+name+"{") && !strings.Contains(scrape, "\n"+name+" ") {
				t.Errorf("no metric %s, in %s", name, q)
			}
		}
		for _, list := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(q, -1) {
			for label := range strings.SplitSeq(list[1], ",") {
				label = strings.TrimSpace(label)
				if label != "job" && !strings.Contains(scrape, label+`="`) { // job is Prometheus's own
					t.Errorf("no label %q, in %s", label, q)
				}
			}
		}
		for _, match := range cause.FindAllStringSubmatch(q, -1) {
			for value := range strings.SplitSeq(match[1], "|") {
				if !slices.Contains(causes(t), value) {
					t.Errorf("no cause %q, in %s", value, q)
				}
			}
		}
		if n := strings.Count(q, "("); n != strings.Count(q, ")") {
			t.Errorf("unbalanced: %s", q)
		}
	}
}

// dashboard returns the queries of the dashboard.
func dashboard(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/holdfast.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("a panel without a title, a description or queries: %+v", p)
		}
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	return queries
}

// alerts returns the expressions of the rules.
func alerts(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/holdfast.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	operations, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("an incomplete rule: %+v", r)
			}
			if !strings.Contains(string(operations), "`"+r.Alert+"`") {
				t.Errorf("docs/operations.md does not have %s", r.Alert)
			}
			queries = append(queries, r.Expr)
		}
	}
	return queries
}

// causes returns the values of error.type, which are in the source of holdfastotel.
func causes(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../holdfastotel/options.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t\{\w+\.\w+, "(\w+)"\},$`).FindAllStringSubmatch(
		string(text), -1) {
		names = append(names, m[1])
	}
	return names
}
