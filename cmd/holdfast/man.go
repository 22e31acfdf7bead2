package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// manCommand returns the verb that writes the manual pages of all verbs, for those that make
// packages.
func manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write manual pages",
		Long:    "Writes a manual page of each verb into a directory." + exitStatus(),
		Example: "  holdfast man /usr/local/share/man/man1",
		Hidden:  true,
		Args:    one,
		RunE: func(_ *cobra.Command, args []string) error {
			return writeManPages(root, args[0])
		},
	}
}

func writeManPages(cmd *cobra.Command, dir string) error {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(manPage(cmd, name)), 0o644)
	for _, c := range cmd.Commands() {
		if err == nil && c.IsAvailableCommand() {
			err = writeManPages(c, dir)
		}
	}
	return err
}

// manPage returns the page of a verb in the language of man. It has the texts of --help as they
// are.
func manPage(cmd *cobra.Command, name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), name, roff(cmd.Short))
	section := func(title, text string) {
		if text = strings.Trim(text, "\n"); text != "" {
			fmt.Fprintf(&b, ".SH %s\n.nf\n%s\n.fi\n", title, roff(text))
		}
	}
	section("SYNOPSIS", cmd.UseLine())
	section("DESCRIPTION", cmd.Long)
	section("OPTIONS", cmd.LocalFlags().FlagUsages())
	section("EXAMPLES", cmd.Example)
	var others []string
	if cmd.HasParent() {
		others = append(others, cmd.Parent().CommandPath())
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			others = append(others, c.CommandPath())
		}
	}
	for i, other := range others {
		others[i] = strings.ReplaceAll(other, " ", "-") + "(1)"
	}
	section("SEE ALSO", strings.Join(others, "\n"))
	return b.String()
}

// roff escapes a text: a backslash, a minus, and a dot or an apostrophe at the start of a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
