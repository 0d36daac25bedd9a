package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/stream"
)

// streamCommand declares the flags of the stream element and answers what runs
// it. The key comes from the environment or a file: an argument would show in
// the list of processes.
func streamCommand(flags *flag.FlagSet) func(context.Context, *slog.Logger) error {
	var o stream.Options
	flags.StringVar(&o.Server, "server", "http://127.0.0.1:9080", "URL of the light server's REST interface")
	flags.StringVar(&o.Channel, "channel", "", "id of the channel to publish to")
	follow := flags.String("follow", "", "comma separated ids of the channels to follow (default the one published to)")
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:9082", "host:port of /healthz; port 0 picks one")
	flags.DurationVar(&o.Window, "window", 10*time.Second, "length of a window")
	flags.DurationVar(&o.Grace, "grace", time.Second, "how long after its end a window waits for readings")
	flags.StringVar(&o.Suffix, "suffix", ":window:", "what stands between a name and mean, min or max")
	flags.IntVar(&o.MaxNames, "max-names", 20_000, "windows open at the same time")
	keyFile := flags.String("key-file", "", "file with the key of a thing linked to the channel; else LITE_STREAM_KEY")
	portsFile := flags.String("ports-file", "", "file that receives the bound address as JSON")
	return func(ctx context.Context, log *slog.Logger) error {
		o.Key = os.Getenv("LITE_STREAM_KEY")
		if *keyFile != "" {
			text, err := os.ReadFile(*keyFile)
			if err != nil {
				return fmt.Errorf("--key-file: %w", err)
			}
			o.Key = strings.TrimSpace(string(text))
		}
		o.Log = log
		if *follow != "" {
			o.Follow = strings.Split(*follow, ",")
		}
		e, err := stream.New(o)
		if err != nil {
			return err
		}
		log.Info("listening", "healthz", e.Addr().String())
		if *portsFile != "" {
			if err := writePorts(*portsFile, map[string]string{"healthz": e.Addr().String()}); err != nil {
				return err
			}
		}
		return ignoreCancel(e.Run(ctx))
	}
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
