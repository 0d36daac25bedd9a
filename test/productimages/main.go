// Command productimages gets the images that charts (edgex and mainflux unless
// --charts names others, separated by commas) name into a folder of archives, one for each, under the names that clusters look
// for and for this machine alone:
//
//	productimages --from DIR --out DIR     the real ones, from archives of any tool
//	productimages --standin --out DIR      stand-ins, built here; see test/standin
//
// With --from it ends with every image that is missing before anything is written.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "productimages:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("productimages", flag.ContinueOnError)
	from := f.String("from", "", "folder of archives of the real images")
	standin := f.Bool("standin", false, "build stand-ins instead")
	names := f.String("charts", "edgex,mainflux", "charts whose images are meant")
	out := f.String("out", "", "folder to write to")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *out == "" || *standin == (*from != "") || f.NArg() > 0 {
		return errors.New("allowed: --from DIR --out DIR, or --standin --out DIR")
	}
	wanted, err := wanted(strings.Split(*names, ",")...)
	if err != nil {
		return err
	}
	if *standin {
		return buildStandins(ctx, wanted, *out)
	}
	return gather(*from, wanted, machine(), *out, os.Stderr)
}

// machine is what images have to be for to run here.
func machine() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }
