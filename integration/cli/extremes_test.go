package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// numericFlags are all flags of the verbs that take a number or a time. The command lines end by themselves.
var numericFlags = []struct {
	verb, flags []string
	rest        []string
}{
	{[]string{"lock"}, []string{"-w", "-E", "--ttl", "--grace", "--lock-delay"}, []string{"--", "true"}},
	{[]string{"elect"}, []string{"-w", "-E", "--ttl", "--grace", "--lock-delay"}, []string{"value", "--", "true"}},
	{[]string{"semaphore", "--limit", "2"}, []string{"-w", "-E", "--ttl", "--grace", "--weight"}, []string{"--", "true"}},
	{[]string{"semaphore"}, []string{"--limit"}, []string{"--", "true"}},
	{[]string{"barrier", "enter", "-w", "0.1"}, []string{"--parties", "-E"}, nil},
	{[]string{"latch", "wait", "-w", "0.1"}, []string{"--count", "-E"}, nil},
	{[]string{"queue", "put"}, []string{"--priority", "--delay", "--dedup-window", "--max-length"}, []string{"x"}},
	{[]string{"queue", "peek"}, []string{"--items"}, nil},
	{[]string{"queue", "get"}, []string{"-w"}, nil},
	{[]string{"ls"}, []string{"--command-timeout", "--idle-timeout"}, nil},
	{[]string{"doctor"}, []string{"--command-timeout", "--idle-timeout"}, nil},
	{[]string{"queue", "stats"}, []string{"--command-timeout", "--idle-timeout"}, nil},
}

// TestExtremes: no number is so large or small that a verb breaks: it is refused, or it works.
func TestExtremes(t *testing.T) {
	t.Parallel()
	for _, row := range numericFlags {
		for _, flag := range row.flags {
			for _, value := range []string{"-1", "1000000000", "9223372036854775807", "1e300", "2540400h"} {
				if value[0] != '-' && row.verb[0] == "queue" && row.verb[1] == "get" {
					continue // it waits that long
				}
				args := append(slices.Clone(row.verb), flag+"="+value)
				if len(flag) == 2 {
					args = append(slices.Clone(row.verb), flag, value)
				}
				r := start(t, append(append(args, fresh(t)), row.rest...)...)
				code := r.wait()
				if text := r.stderr.String(); code != 0 && code != 1 && code != 64 || strings.Contains(text, "panic") {
					t.Errorf("%v: status %d: %s", r.cmd.Args[1:], code, text)
				}
			}
		}
	}
	for _, verb := range [][]string{{"ls"}, {"doctor"}, {"lock"}, {"queue", "put"}} { // a long time is a time
		args := append(slices.Clone(verb), "--command-timeout", "1000000000", fresh(t))
		switch verb[0] {
		case "lock":
			args = append(args, "--", "true")
		case "queue":
			args = append(args, "x")
		}
		hf(t, 0, args...)
	}
}

// TestErrorsInJSON: a line that cannot be parsed gets its error in JSON, too, wherever --json stands in it.
func TestErrorsInJSON(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"lock", "--bogus", "--json"},
		{"lock", "a", "-w", "soon", "--json"},
		{"--json", "queue", "peek", "--items", "x", "a"},
		{"ls", "--command-timeout", "x", "--json=true"},
		{"bogus", "--json"},
	} {
		r := start(t, args...)
		r.want(64)
		var out struct {
			Error string
			Code  int
		}
		if err := json.Unmarshal([]byte(r.stderr.String()), &out); err != nil || out.Code != 64 || out.Error == "" {
			t.Errorf("%v: %q: %v", args, r.stderr.String(), err)
		}
	}
	complain(t, 64, "lock", "--bogus", "a", "--", "cmd", "--json") // that one is of the command
}

// TestHelpSaysTheDefaults: no help prints a default of zero beside the true one.
func TestHelpSaysTheDefaults(t *testing.T) {
	t.Parallel()
	for _, row := range numericFlags {
		verb := row.verb
		if i := slices.IndexFunc(verb, func(s string) bool { return s[0] == '-' }); i > 0 {
			verb = verb[:i]
		}
		out := hf(t, 0, append(slices.Clone(verb), "--help")...)
		for line := range strings.Lines(out) {
			if strings.Contains(line, "default 0") || strings.Count(line, "(default") > 1 {
				t.Errorf("%v: %s", verb, line)
			}
		}
	}
}
