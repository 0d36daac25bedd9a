// Command fakes runs an EdgeX and a Mainflux that answer as the real ones were
// recorded, to try adapters, charts' consumers and clients by hand:
//
//	go run ./test/fakes --edgex 127.0.0.2 --mainflux 127.0.0.3
//
// An address alone takes the products' own ports there; with ":0" behind it,
// free ports are taken. The endpoints are printed as one JSON object per
// product. It ends on an interrupt, or after --for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/edgex/edgextest"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "fakes:", err)
		os.Exit(1)
	}
}

// run starts what the arguments name and ends with ctx.
func run(ctx context.Context, args []string, out, complaints io.Writer) (err error) {
	flags := flag.NewFlagSet("fakes", flag.ContinueOnError)
	flags.SetOutput(complaints)
	gateway := flags.String("edgex", "", "address for EdgeX: HOST for its own ports, HOST:0 for free ones; empty: none")
	server := flags.String("mainflux", "", "address for Mainflux, likewise")
	password := flags.String("password", "change-me-please", "of Mainflux's user "+mainflux.AdminEmail+", at least 8 characters")
	limit := flags.Duration("for", 0, "end after this time; 0: on an interrupt")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *gateway == "" && *server == "" {
		return errors.New("nothing to run; allowed: --edgex ADDRESS, --mainflux ADDRESS, or both")
	}
	if *limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *limit)
		defer cancel()
	}
	if *gateway != "" {
		host, free := strings.CutSuffix(*gateway, ":0")
		f, failed := edgextest.New(edgextest.Options{Host: host, OwnPorts: !free})
		if failed != nil {
			return fmt.Errorf("edgex at %s: %w", *gateway, failed)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		tell(out, "edgex", f.Access())
	}
	if *server != "" {
		host, free := strings.CutSuffix(*server, ":0")
		f, failed := mainfluxtest.New(mainfluxtest.Options{Host: host, OwnPorts: !free, AdminEmail: mainflux.AdminEmail, AdminPassword: *password})
		if failed != nil {
			return fmt.Errorf("mainflux at %s: %w", *server, failed)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		tell(out, "mainflux", f.Access(""))
	}
	started := time.Now()
	<-ctx.Done()
	_, err = fmt.Fprintf(complaints, "ended after %s\n", time.Since(started).Round(time.Second))
	return err
}

// tell prints a product's endpoints.
func tell(out io.Writer, product string, a platform.Access) {
	b, err := json.Marshal(map[string]any{"product": product, "endpoints": a.Endpoints})
	if err == nil {
		fmt.Fprintln(out, string(b))
	}
}
