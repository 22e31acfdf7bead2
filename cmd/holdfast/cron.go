package main

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // for --timezone where the system has no data

	robfig "github.com/robfig/cron/v3"
	"github.com/spf13/cobra"

	"github.com/holdfast-go/holdfast/cron"
)

type cronFlags struct {
	holdFlags
	every, timeout, jitter, maxLate duration
	missed, timezone                string
	maxAttempts                     int
}

const cronHelp = `Run a command at the times of a schedule, once for all hosts: start this on each
of them, with the same schedule. The SCHEDULE has five fields, as in crontab(5), or is a
word such as @daily. Its times are in UTC, or in the --timezone, where a time of day that
a change of the clocks leaves out does not run, and one that exists twice runs twice.
If a host dies, another
one runs the command again after the TTL. If a command fails, another host runs it, after a
pause that doubles from 1s to 1m. The command also gets HOLDFAST_SCHEDULED, the time
of the tick, and HOLDFAST_ATTEMPT, from 1.

The first SIGTERM, SIGINT, SIGHUP or SIGQUIT lets the command that runs finish; later
signals are forwarded to it.`

func cronCommand(a *app) *cobra.Command {
	f := &cronFlags{}
	cmd := &cobra.Command{
		Use:   "cron NAME SCHEDULE -- COMMAND...",
		Short: "Run a command at the times of a schedule, once for all hosts",
		Long: cronHelp + exitStatus("64 if others run the name with another schedule",
			"126 or 127 if\nthe command cannot be run"),
		Example: "  holdfast cron reports \"0 4 * * *\" --timezone Europe/Berlin -- ./report.sh\n" +
			"  holdfast cron sweep --every 10m --timeout 5m -- ./sweep.sh",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, argv, err := f.parse(cmd, args, 1, 2)
			if err != nil {
				return err
			}
			c, err := f.schedule(cmd, names, argv)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), a, c, argv)
		},
	}
	f.addHold(cmd)
	fs := cmd.Flags()
	fs.Var(&f.every, "every", "run at each multiple of this time, instead of at a SCHEDULE")
	fs.StringVar(&f.timezone, "timezone", "UTC", "time zone of the SCHEDULE")
	fs.StringVar(&f.missed, "missed", "latest",
		"run these of the times that were missed: latest, skip or all")
	fs.Var(&f.maxLate, "max-late", "skip a time that was missed for longer "+
		"(default 1m with skip, 24h with all)")
	fs.Var(&f.timeout, "timeout", "end a command that runs for longer (default without end)")
	fs.IntVar(&f.maxAttempts, "max-attempts", cron.DefaultMaxAttempts,
		"number of runs after which a time has failed")
	fs.Var(&f.jitter, "jitter", "delay all times by a part of this that depends on the name")
	cmd.AddCommand(cronHistory(a), cronTrigger(a), cronPause(a), cronResume(a))
	return cmd
}

// missedTicks are the values of --missed.
var missedTicks = map[string]cron.Missed{
	"latest": cron.MissedLatest, "skip": cron.MissedSkip, "all": cron.MissedAll,
}

// schedule returns the schedule that is typed.
func (f *cronFlags) schedule(cmd *cobra.Command, names, argv []string) (*cron.Cron, error) {
	missed, ok := missedTicks[f.missed]
	switch {
	case len(argv) == 0:
		return nil, usagef(
			"no command to run; type: holdfast cron %s SCHEDULE -- COMMAND", names[0])
	case len(names) == 1 && f.every == 0 || len(names) == 2 && f.every != 0:
		return nil, usagef("type either a SCHEDULE or --every: holdfast cron %s \"0 2 * * *\" "+
			"-- COMMAND", names[0])
	case f.every != 0 && cmd.Flags().Changed("timezone"):
		return nil, usagef("--timezone goes with a SCHEDULE only, because --every counts in UTC; " +
			"leave it out, or type a SCHEDULE such as \"0 2 * * *\"")
	case !ok:
		return nil, usagef("--missed %q is unknown; type latest, skip or all", f.missed)
	case f.timeout > 0 && f.timeout < 2*f.grace:
		return nil, usagef("--timeout %v is less than twice the --grace of %v; type more, or a "+
			"shorter --grace", time.Duration(f.timeout), time.Duration(f.grace))
	case f.maxAttempts < 1:
		return nil, usagef("--max-attempts %d is less than 1; type a number from 1", f.maxAttempts)
	}
	schedule, spec, err := cron.Every(time.Duration(f.every)), "", error(nil)
	if len(names) == 2 {
		if schedule, spec, err = parseSchedule(names[1], f.timezone); err != nil {
			return nil, err
		}
	}
	return cron.New(names[0], schedule, &cron.Options{
		Spec: spec, Missed: missed, MaxLate: time.Duration(f.maxLate),
		Timeout: time.Duration(f.timeout), Jitter: time.Duration(f.jitter),
		MaxAttempts: f.maxAttempts, Session: f.sessionOptions(cmd, argv),
	}), nil
}

// parseSchedule returns a schedule and the spec that names it.
func parseSchedule(words, timezone string) (cron.Schedule, string, error) {
	words = strings.Join(strings.Fields(words), " ")
	switch location, err := time.LoadLocation(timezone); {
	case err != nil || location == time.Local:
		return nil, "", usagef("--timezone %q is unknown; type a name such as Europe/Berlin",
			timezone)
	case strings.Contains(words, "TZ="):
		return nil, "", usagef("the schedule %q has a time zone; type --timezone instead", words)
	case strings.HasPrefix(words, "@every"):
		return nil, "", usagef("the schedule %q has no fixed times; type --every instead", words)
	}
	spec := fmt.Sprintf("CRON_TZ=%s %s", timezone, words)
	schedule, err := robfig.ParseStandard(spec)
	if err != nil {
		return nil, "", usagef("the schedule %q: %w; type five fields, such as \"0 2 * * *\"",
			words, err)
	}
	if schedule.Next(time.Now()).IsZero() {
		return nil, "", usagef("the schedule %q has no time within five years; type another", words)
	}
	return schedule, spec, nil
}
