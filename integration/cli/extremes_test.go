package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// numericFlags are the flags of the verbs that take a number or a time. The command lines end by
// themselves.
var numericFlags = []struct {
	verb, flags []string
	rest        []string
}{
	{
		[]string{"lock"},
		[]string{"-w", "-E", "--ttl", "--grace", "--lock-delay"},
		[]string{"--", "true"},
	},
	{
		[]string{"elect"},
		[]string{"-w", "-E", "--ttl", "--grace", "--lock-delay"},
		[]string{"value", "--", "true"},
	},
	{
		[]string{"semaphore", "--limit", "2"},
		[]string{"-w", "-E", "--ttl", "--grace", "--weight"},
		[]string{"--", "true"},
	},
	{[]string{"semaphore"}, []string{"--limit"}, []string{"--", "true"}},
	{[]string{"barrier", "enter", "-w", "0.1"}, []string{"--parties", "-E"}, nil},
	{[]string{"latch", "wait", "-w", "0.1"}, []string{"--count", "-E"}, nil},
	{
		[]string{"queue", "put"},
		[]string{"--priority", "--delay", "--dedup-window", "--max-length"},
		[]string{"x"},
	},
	{[]string{"queue", "peek"}, []string{"--items"}, nil},
	{[]string{"queue", "get"}, []string{"-w"}, nil},
	{[]string{"queue", "get", "-n"}, []string{"-E"}, nil},
	{[]string{"queue", "put", "--max-length", "1"}, []string{"-w", "-E"}, []string{"x"}},
	{
		[]string{"queue", "consume"},
		[]string{
			"--concurrency", "--max-attempts", "--per-group", "--max-in-flight", "--ttl", "--grace",
		},
		[]string{"--", "sh", "-c", "kill -TERM $PPID"},
	},
	{[]string{"queue", "dead"}, timeFlags, nil},
	{[]string{"queue", "redrive"}, timeFlags, nil},
	{[]string{"queue", "remove"}, timeFlags, []string{"0-1"}},
	{[]string{"queue", "resume"}, timeFlags, nil},
	{[]string{"queue", "stats"}, timeFlags, nil},
	{[]string{"barrier", "hold"}, []string{"--ttl", "--grace"}, []string{"--", "true"}},
	{[]string{"barrier", "wait", "-w", "0.1"}, []string{"-w", "-E"}, nil},
	{[]string{"barrier", "release"}, timeFlags, nil},
	{[]string{"latch", "down"}, []string{"--count"}, nil},
	{[]string{"latch", "left"}, []string{"--count"}, nil},
	{[]string{"leader"}, timeFlags, nil},
	{[]string{"info"}, timeFlags, nil},
	{[]string{"break", "--reason", "x"}, timeFlags, nil},
	{[]string{"ls"}, timeFlags, nil},
	{[]string{"doctor"}, timeFlags, nil},
}

// timeFlags are flags of every verb.
var timeFlags = []string{"--command-timeout", "--idle-timeout"}

// lineWith returns the command line of a verb with a flag.
func lineWith(t *testing.T, verb, rest []string, flag, value string) []string {
	t.Helper()
	args := slices.Clone(verb)
	if len(flag) == 2 {
		args = append(args, flag, value)
	} else {
		args = append(args, flag+"="+value)
	}
	return append(append(args, fresh(t)), rest...)
}

// TestGarbageIsRejectedByEveryFlag: every verb and flag rejects a text that is not a number or a
// time, and prints the error as JSON if --json is given.
func TestGarbageIsRejectedByEveryFlag(t *testing.T) {
	t.Parallel()
	for _, row := range numericFlags {
		for _, flag := range row.flags {
			for _, value := range []string{
				"", "x", "NaN", "-Inf", "1.2.3", "-5s", "1e", "\u0661",
				"--",
			} {
				r := start(t,
					append([]string{"--json"}, lineWith(t, row.verb, row.rest, flag, value)...)...)
				r.want(64)
				var out struct {
					Error string
					Code  int
				}
				if err := json.Unmarshal([]byte(r.stderr.String()), &out); err != nil ||
					out.Code != 64 || !strings.Contains(out.Error, flag) {
					t.Errorf("%v: %q: %v", r.cmd.Args[1:], r.stderr.String(), err)
				}
			}
		}
	}
}

// TestExtremeNumbersAreRejectedOrWork: a very large or small number is rejected or works.
func TestExtremeNumbersAreRejectedOrWork(t *testing.T) {
	t.Parallel()
	for _, row := range numericFlags {
		for _, flag := range row.flags {
			for _, value := range []string{
				"-1", "0", "1000000000", "9223372036854775807",
				"9223372036854775808", "1e300", "2540400h",
			} {
				if flag == "-w" && value[0] != '-' && value != "0" &&
					slices.Equal(row.verb, []string{"queue", "get"}) {
					continue // it would wait that long
				}
				args := lineWith(t, row.verb, row.rest, flag, value)
				if row.verb[0] == "queue" && row.verb[1] == "consume" {
					// the command of consume ends it
					hf(t, 0, "queue", "put", args[len(row.verb)+1], "x")
				}
				r := start(t, append([]string{"--json"}, args...)...)
				code := r.wait()
				text := r.stderr.String()
				if code != 0 && code != 1 && code != 64 || strings.Contains(text, "panic") {
					t.Errorf("%v: status %d: %s", r.cmd.Args[1:], code, text)
				}
				if code == 64 && !json.Valid([]byte(text)) {
					t.Errorf("%v: not JSON: %s", r.cmd.Args[1:], text)
				}
			}
		}
	}
	// a long time is valid
	for _, verb := range [][]string{{"ls"}, {"doctor"}, {"lock"}, {"queue", "put"}} {
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

// TestAnErrorOfTheCommandLineIsJSONToo: the error of a line that cannot be parsed is JSON too, at
// every position of --json.
func TestAnErrorOfTheCommandLineIsJSONToo(t *testing.T) {
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
		if err := json.Unmarshal([]byte(r.stderr.String()), &out); err != nil ||
			out.Code != 64 || out.Error == "" {
			t.Errorf("%v: %q: %v", args, r.stderr.String(), err)
		}
	}
	complain(t, 64, "lock", "--bogus", "a", "--", "cmd", "--json") // --json belongs to the command
}

// TestHelpSaysTheDefaults: no help text prints a default of zero beside the real one.
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
