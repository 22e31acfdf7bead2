package cli_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestARefusalNamesTheHolder: the error of a try, or of a wait in vain, names host, process and
// start of the holder.
func TestARefusalNamesTheHolder(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for verb, args := range map[string][]string{
		"lock":         {},
		"lock -s":      {"-s"},
		"elect":        {"value"},
		"semaphore":    {"--limit", "1"},
		"lock several": {},
	} {
		name := fresh(t)
		word, _, _ := strings.Cut(verb, " ")
		with := func(more ...string) []string {
			return append(append(append([]string{word}, more...), name), args...)
		}
		first := with()
		if verb == "lock -s" {
			first = []string{"lock", name}
		}
		holder := start(t, first...)
		holder.line()
		for _, wait := range [][]string{{"-n"}, {"-w", "0.3"}} {
			line := with(wait...)
			if verb == "lock several" {
				line = append(line, name+"-2")
			}
			line = append(line, "--", "true")
			text := complain(t, 1, line...)
			for _, want := range []string{
				host, "pid " + strconv.Itoa(holder.cmd.Process.Pid),
				"since 2",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%v: %q lacks %q", line, text, want)
				}
			}
			r := start(t, append([]string{"--json"}, line...)...)
			r.want(1)
			var out struct {
				Holders []struct {
					Name    string
					Fence   int64
					Session struct {
						Host    string
						PID     int
						Started string
					}
				}
			}
			if err := json.Unmarshal([]byte(r.stderr.String()), &out); err != nil ||
				len(out.Holders) != 1 {
				t.Errorf("%v: %s: %v", line, r.stderr.String(), err)
				continue
			}
			if h := out.Holders[0]; h.Name != name || h.Fence == 0 || h.Session.Host != host ||
				h.Session.PID != holder.cmd.Process.Pid || h.Session.Started == "" {
				t.Errorf("%v: %+v", line, h)
			}
		}
	}
}
