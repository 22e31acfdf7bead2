package main

import "github.com/spf13/cobra"

// versionCommand returns the verb that prints the version, as --version does.
func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Prints the version, as --version does." + exitStatus(),
		Example: "  holdfast version",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.print(map[string]any{"version": version()}, "holdfast version "+version())
		},
	}
}
