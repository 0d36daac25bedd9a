// Command lite-server is the light IoT server and, as "lite-server stream", a
// small stream element that computes windows over a channel. See
// docs/lite-server.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/osmoslice/osmoslice/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stderr))
}

// run executes the command and answers its exit code: 0 when it was asked to
// stop, 1 when it failed, 2 when it was called wrongly.
func run(ctx context.Context, args []string, env func(string) (string, bool), stderr io.Writer) int {
	serve, prefix, name := serveCommand, "LITE_SERVER_", "lite-server"
	if len(args) > 0 && args[0] == "stream" {
		serve, prefix, name = streamCommand, "LITE_STREAM_", "lite-server stream"
		args = args[1:]
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	level := flags.String("log-level", "info", "debug, info, warn or error")
	tellVersion := flags.Bool("version", false, "print the version and exit")
	start := serve(flags)
	if err := parse(flags, args, prefix, env); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	if *tellVersion {
		fmt.Fprintln(stderr, "lite-server", version.String())
		return 0
	}
	log, err := newLog(stderr, *level)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	if err := start(ctx, log); err != nil {
		log.Error("stopped", "error", err)
		return 1
	}
	log.Info("stopped")
	return 0
}

// parse reads the flags; what is not given comes from the environment:
// --listen-api is <prefix>LISTEN_API.
func parse(flags *flag.FlagSet, args []string, prefix string, env func(string) (string, bool)) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("argument %q is not understood", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	flags.VisitAll(func(f *flag.Flag) {
		variable := prefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := env(variable); ok && !given[f.Name] {
			if err := f.Value.Set(value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", variable, err))
			}
		}
	})
	return errors.Join(errs...)
}

func newLog(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: given %q, allowed: debug, info, warn, error", level)
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})), nil
}
