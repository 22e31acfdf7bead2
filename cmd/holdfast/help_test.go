package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// TestHelpHasExampleAndExitStatus: the help of each verb has a description, an example and the exit
// statuses, in lines of at most 100 columns.
func TestHelpHasExampleAndExitStatus(t *testing.T) {
	verbs := 0
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		for line := range strings.Lines(cmd.Short + "\n" + cmd.Long + "\n" + cmd.Example) {
			if utf8.RuneCountInString(line) > 100 {
				t.Errorf("%s: a line is too long: %s", path, line)
			}
		}
		if cmd.Short == "" || cmd.Long == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q, long text %q", path, cmd.Short, cmd.Long)
		}
		for _, c := range cmd.Commands() {
			check(c)
		}
		if cmd.HasSubCommands() {
			return
		}
		verbs++
		if !strings.Contains(cmd.Example, "  "+path+" ") && cmd.Example != "  "+path {
			t.Errorf("%s: its example is %q", path, cmd.Example)
		}
		if strings.Count(cmd.Long, "\n\nExit status: ") != 1 {
			t.Errorf("%s: no exit status in %q", path, cmd.Long)
		}
	}
	check(newRoot(&app{}))
	if verbs < 20 {
		t.Errorf("only %d verbs", verbs)
	}
}
