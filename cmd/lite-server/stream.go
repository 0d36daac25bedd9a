package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
)

func streamCommand(flags *flag.FlagSet) func(context.Context, *slog.Logger) error {
	return func(context.Context, *slog.Logger) error { return errors.New("not there yet") }
}
