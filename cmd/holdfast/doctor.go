package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const doctorHelp = `Look for faults: of the endpoints, their versions and clocks, of leases, and, at
all names that begin with PREFIX, for keys that nobody deletes, and deadlocks.`

func doctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "doctor [PREFIX]",
		Short:   "Look for faults of endpoints, clocks, leases and keys, and for deadlocks",
		Long:    doctorHelp + exitStatus("1 if there is a fault"),
		Example: "  holdfast doctor",
		Args:    between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := a.dial(); err != nil {
				return err
			}
			d := &doctor{app: a}
			if err := d.endpoints(cmd.Context()); err != nil {
				return err
			}
			if err := d.keys(cmd.Context(), strings.Join(args, "")); err != nil {
				return err
			}
			if err := d.show(); err != nil {
				return err
			}
			if d.bad > 0 {
				return &childError{status: codeNo} // show has printed everything
			}
			return nil
		},
	}
}

// doctor collects findings: doctorendpoints.go those about endpoints, doctorkeys.go the others.
type doctor struct {
	app      *app
	findings []finding
	bad      int
}

type finding struct {
	Level string `json:"level"` // ok, note, bad
	Check string `json:"check"`
	Text  string `json:"text"`
}

func (d *doctor) ok(check, format string, args ...any)   { d.add("ok", check, format, args) }
func (d *doctor) note(check, format string, args ...any) { d.add("note", check, format, args) }
func (d *doctor) wrong(check, format string, args ...any) {
	d.bad++
	d.add("bad", check, format, args)
}

func (d *doctor) add(level, check, format string, args []any) {
	text := fmt.Sprintf(format, args...)
	d.findings = append(d.findings, finding{Level: level, Check: check, Text: text})
}

func (d *doctor) show() error {
	t := d.app.table("", "CHECK", "FINDING")
	for _, f := range d.findings {
		t.add(f, f.Level, f.Check, f.Text)
	}
	return t.flush()
}
