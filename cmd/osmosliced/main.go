// Command osmosliced is the IoT slice orchestration service: flags and
// environment become a configuration, and the configuration a running service.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/osmoslice/osmoslice/internal/app"
)

// Exit codes.
const (
	exitFailure = 1 // it could not start or do what was asked
	exitUsage   = 2 // wrong command line or configuration
)

func main() {
	if app.ShimMain(os.Args) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(os.Args[1:])
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "osmosliced: "+err.Error())
		stop()
		os.Exit(code(err))
	}
}
