package main

import (
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

const rootHelp = `Locks, elections, semaphores, barriers, queues, single runs, schedules, groups and
shards on etcd.

Exit status: a command's own status is passed through, 128+n if signal n ended it. Otherwise:
  0          done; a verb that holds until a signal got one
  1          no: not acquired (-E sets another status), no member found, doctor found a fault
  64         wrong usage
  69         etcd cannot be reached
  70         any other failure
  75         the hold was lost while the command ran, or another member has taken over
  77         etcd does not permit the operation
  126, 127   the command cannot be run; it does not exist`

// The last paragraph of each help text.
const (
	otherStatus = "\nholdfast --help lists the other exit statuses."
	exitOfHold  = "\n\nExit status: the command's; 1, or the value of -E, if the wait was in\n" +
		"vain; 75 if the hold was lost." + otherStatus
	exitOfWait = "\n\nExit status: 0 done; 1, or the value of -E, if the wait was in vain." +
		otherStatus
)

// exitStatus is the last paragraph of the help text of a verb with few exit statuses.
func exitStatus(more ...string) string {
	return "\n\nExit status: " + strings.Join(append([]string{"0 done"}, more...), "; ") + "." +
		otherStatus
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Locks, elections, queues, schedules, shards and more on etcd",
		Long:  rootHelp,
		Example: "  holdfast lock jobs/nightly -- ./nightly.sh\n" +
			"  holdfast ls",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("no verb given; type: holdfast lock NAME -- COMMAND, or holdfast --help")
		},
		Version: version(),
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.connect.fromEnv(cmd.Flags())
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		a.json = a.json || asksJSON(os.Args[1:])
		return usagef("%w; type: %s --help%s", err, cmd.CommandPath(), dashHint(cmd))
	})
	root.Flags().Bool("version", false, "print the version")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, errors too")
	a.connect.add(root.PersistentFlags())
	root.AddCommand(
		lockCommand(a), renewCommand(a), unlockCommand(a), semaphoreCommand(a), electCommand(a),
		leaderCommand(a), barrierCommand(a), latchCommand(a), queueCommand(a), onceCommand(a),
		cronCommand(a), limitCommand(a), counterCommand(a), idCommand(a), memberCommand(a),
		membersCommand(a), shardCommand(a), shardsCommand(a), lsCommand(a), infoCommand(a),
		whyCommand(a), uiCommand(a), topCommand(a), historyCommand(a), breakCommand(a),
		doctorCommand(a), versionCommand(a),
	)
	root.AddCommand(manCommand(root))
	complete(root)
	return root
}

// complete sets the fields that all commands have in common. The use lines show only the words to
// type, without "[flags]", and no argument is the name of a file.
func complete(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	for _, c := range cmd.Commands() {
		complete(c)
	}
}

// addCobraVerbs adds help and completion. A wrong argument is a usage error; by default cobra
// prints a help text and exits with 0.
func addCobraVerbs(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err != nil || found.HasSubCommands() && len(rest) > 0 {
					return usagef("no verb %q; type: holdfast --help", strings.Join(args, " "))
				}
				return nil
			}
		case "completion":
			cmd.Args = noArgs
			cmd.RunE = func(*cobra.Command, []string) error {
				return usagef("for which shell? type: holdfast completion bash|zsh|fish|powershell")
			}
		}
	}
}

// group returns a command that only has verbs below it. usage is the rest of the line to type.
func group(name, short, long, usage string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long:  long,
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			var names []string
			for _, verb := range verbs {
				names = append(names, verb.Name())
			}
			return usagef("no verb given; type: holdfast %s %s %s",
				name, strings.Join(names, "|"), usage)
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// release is the version of a program that "make dist" has built.
var release string

// version returns the version of the module, which names the commit if the program was built from
// one.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// dashHint returns a reminder of the two dashes for verbs that take a command, else "".
func dashHint(cmd *cobra.Command) string {
	if cmd.Annotations[takesCommand] != "" {
		return " (flags of the command to run come after --)"
	}
	return ""
}
