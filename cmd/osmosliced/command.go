package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/osmoslice/osmoslice/internal/app"
	"github.com/osmoslice/osmoslice/internal/config"
	"github.com/osmoslice/osmoslice/internal/version"
)

// usageError marks what the caller typed wrong.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func code(err error) int {
	var u usageError
	if errors.As(err, &u) {
		return exitUsage
	}
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "osmosliced",
		Short: "The IoT slice orchestration service",
		Long: `osmosliced serves the northbound API and carries out what is ordered over it.

Without a command it serves. Settings come from --config FILE, then the
environment (OSMOSLICE_LISTEN_ADDRESS, …), then flags; "osmosliced config"
prints the effective ones. Without any, it keeps its state in osmoslice-data/
and listens on 127.0.0.1:8080. The first start writes a system-admin API key to
admin.key in the data directory.

Exit codes: 0 done, 1 it could not start or do what was asked, 2 wrong command
line or configuration.`,
		SilenceErrors: true, SilenceUsage: true,
		Version: version.String(),
		Args:    noArgs,
	}
	root.SetVersionTemplate("osmosliced {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	load := settingFlags(root)
	serve := func(cmd *cobra.Command, _ []string) error {
		c, err := load()
		if err != nil {
			return err
		}
		return app.Run(cmd.Context(), c, app.NewLog(c.Log, os.Stderr))
	}
	root.RunE = serve
	root.AddCommand(
		&cobra.Command{Use: "serve", Short: "Serve the API (the default)", Args: noArgs, RunE: serve},
		configCommand(load), backupCommand(load), restoreCommand(load), rotateCommand(load),
	)
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command %q; %q lists them", args[0], cmd.CommandPath()+" --help")}
	}
	return nil
}

func oneArg(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%d arguments given, one expected: %s", len(args), name)}
		}
		return nil
	}
}

// settingFlags adds --config and a flag per setting; the function answered
// makes the effective configuration of what was typed.
func settingFlags(root *cobra.Command) func() (config.Config, error) {
	fs := root.PersistentFlags()
	file := fs.String("config", os.Getenv("OSMOSLICE_CONFIG"), "YAML file with settings")
	defaults := config.Default()
	settings := config.Settings(&defaults)
	for _, s := range settings {
		fs.String(s.Flag(), s.Text(), s.Help)
	}
	return func() (config.Config, error) {
		typed := map[string]string{}
		for _, s := range settings {
			if f := fs.Lookup(s.Flag()); f.Changed {
				typed[s.Key] = f.Value.String()
			}
		}
		c, err := config.Load(*file, os.Environ(), typed)
		if err != nil {
			return c, usageError{err}
		}
		if c, err = c.Resolved(); err != nil {
			return c, usageError{err}
		}
		return c, nil
	}
}

func configCommand(load func() (config.Config, error)) *cobra.Command {
	return &cobra.Command{
		Use: "config", Short: "Print the effective configuration, secrets masked", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), config.YAML(config.Masked(c)))
			return err
		},
	}
}

func backupCommand(load func() (config.Config, error)) *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Write a consistent copy of a live store", Args: oneArg("the file to write"),
		Long: `Writes everything the service keeps, at one moment, to FILE, while it serves.
Secrets are in it only as ciphertext: keep the key file (data.keyfile) apart.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load()
			if err != nil {
				return err
			}
			return app.Backup(cmd.Context(), c, args[0], cmd.OutOrStdout())
		},
	}
}

func restoreCommand(load func() (config.Config, error)) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Fill an empty store from a backup", Args: oneArg("the backup to read"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load()
			if err != nil {
				return err
			}
			return app.Restore(cmd.Context(), c, args[0], force, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&force, "replace", false, "replace what the store holds")
	return cmd
}

func rotateCommand(load func() (config.Config, error)) *cobra.Command {
	return &cobra.Command{
		Use: "rotate-key", Short: "Add a new key to the key file and wrap all secrets with it", Args: noArgs,
		Long: `Adds a key to the key file and wraps every secret with it. It can be repeated
after an interruption. On PostgreSQL it can run while the service serves; a
SQLite file belongs to the one process that has it open: stop the service.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load()
			if err != nil {
				return err
			}
			return app.RotateKey(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
}
