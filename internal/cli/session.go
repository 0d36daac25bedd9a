package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Env is what the command line needs of its surroundings.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	// Home is where the contexts live unless SLICECTL_CONFIG says otherwise.
	Home string
	// Terminal reports whether Err is a terminal (progress bars).
	Terminal bool
	// Prompt asks a person for a secret without showing it; nil: nobody is
	// there.
	Prompt func(question string) (string, error)
}

// session is one run of the command line.
type session struct {
	Env
	flags globals
	wired *wire // made once, when first needed
	// siteNames are infrastructures by id, looked up once.
	siteNames map[string]string
	// orderFile is where an import writes its orders; "": nowhere.
	orderFile string
	end       context.CancelFunc // of --timeout
}

// globals are the flags of every command.
type globals struct {
	config, context, server, tenant, keyFile, caFile string
	output                                           string
	timeout                                          time.Duration
	wait                                             bool
}

// callTimeout bounds one call; waiting for an operation has waitTimeout unless
// --timeout says otherwise.
const (
	callTimeout = 30 * time.Second
	waitTimeout = 15 * time.Minute
)

// Run executes one command line and answers its exit code.
func Run(ctx context.Context, args []string, env Env) int {
	s := &session{Env: env}
	root := s.root()
	root.SetArgs(args)
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	strictCompletion(root)
	err := root.ExecuteContext(ctx)
	if s.end != nil {
		s.end()
	}
	if err != nil && ctx.Err() != nil && !isProblem(err) {
		err = context.Cause(ctx)
	}
	if e, ok := errors.AsType[exitError](err); err != nil && (!ok || !e.said) {
		fmt.Fprintln(env.Err, "slicectl: "+text(err))
		if _, ok := errors.AsType[usageError](err); ok {
			fmt.Fprintln(env.Err, "Run \"slicectl help\" or add --help to a command.")
		}
	}
	return exitCode(err)
}

func isProblem(err error) bool {
	_, ok := errors.AsType[*problem](err)
	return ok
}

func text(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

func (s *session) root() *cobra.Command {
	root := group("slicectl", "Order, watch and change IoT slices")
	root.Long = "slicectl orders, watches and changes IoT slices through the Osmoslice API.\n\n" +
		"Begin with: slicectl context set NAME --server http://127.0.0.1:8080 --key-file FILE"
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	f := root.PersistentFlags()
	f.StringVar(&s.flags.config, "config", "", "file of contexts (SLICECTL_CONFIG; default ~/.config/slicectl/config.yaml)")
	f.StringVar(&s.flags.context, "context", "", "context to use (SLICECTL_CONTEXT)")
	f.StringVar(&s.flags.server, "server", "", "URL of the service (SLICECTL_SERVER)")
	f.StringVar(&s.flags.tenant, "tenant", "", "tenant to act for, by id or name (SLICECTL_TENANT)")
	f.StringVar(&s.flags.keyFile, "key-file", "", "file that holds the API key (SLICECTL_KEY_FILE; or the key in SLICECTL_API_KEY)")
	f.StringVar(&s.flags.caFile, "ca-file", "", "PEM certificates to trust besides the system's (SLICECTL_CA_FILE)")
	f.StringVarP(&s.flags.output, "output", "o", "table", "table, wide, json or yaml")
	f.DurationVar(&s.flags.timeout, "timeout", 0, "how long to wait at most, for example 90s (default: 30s per call, 15m with --wait)")
	f.BoolVar(&s.flags.wait, "wait", false, "wait until a started operation is over")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		switch s.flags.output {
		case "table", "wide", "json", "yaml":
		default:
			if s.intoFile(cmd) {
				break
			}
			return usagef("--output: given %q, allowed: table, wide, json, yaml", s.flags.output)
		}
		if s.flags.timeout < 0 {
			return usagef("--timeout: given %s, allowed: a time above 0", s.flags.timeout)
		}
		if s.flags.timeout > 0 {
			ctx, cancel := limited(cmd.Context(), s.flags.timeout)
			cmd.SetContext(ctx)
			s.end = cancel
		}
		return nil
	}
	for _, n := range nouns {
		root.AddCommand(s.nounCommand(n))
	}
	root.AddCommand(s.contextCommand(), s.importCommand(), s.eventCommand(), s.placementCommand(), s.bundleCommand(), s.versionCommand(), exitCodesTopic())
	return root
}

// strictCompletion makes a wrong shell an error, where cobra's own command would
// help and succeed. The root's output must be set before.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE, c.SuggestionsMinimumDistance = cobra.ArbitraryArgs, runGroup, 2
		}
	}
}

// group is a command that only has others below it.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2, RunE: runGroup,
	}
}

// runGroup helps, or refuses what is no command of the group.
func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("%s has no command %q%s", cmd.CommandPath(), args[0], hint)
}

func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesHelp}
}

// args checks the number of arguments and says what they are.
func args(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if len(given) < low || high >= 0 && len(given) > high {
			return usagef("%s takes %s; %d given", cmd.CommandPath(), what, len(given))
		}
		return nil
	}
}

// wire connects to the service of the context in force.
func (s *session) wire() (*wire, error) {
	if s.wired != nil {
		return s.wired, nil
	}
	c, err := s.chosen()
	if err != nil {
		return nil, err
	}
	if c.Server == "" {
		return nil, usagef("no service is known: give --server, set SLICECTL_SERVER, or run slicectl context set NAME --server URL --key-file FILE")
	}
	base, err := serverURL(c.Server)
	if err != nil {
		return nil, err
	}
	key, err := s.key(c)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CAFile != "" {
		if transport.TLSClientConfig, err = trust(c.CAFile); err != nil {
			return nil, err
		}
	}
	s.wired = newWire(base, transport, key, c.Tenant)
	return s.wired, nil
}

func serverURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, usagef("server: given %q, allowed: http://host[:port] or https://host[:port]", raw)
	}
	return u, nil
}

func trust(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("ca-file: %v", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usagef("ca-file: %s holds no PEM certificate", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// within bounds a part of a command by its usual time, unless --timeout bounds
// the whole.
func (s *session) within(ctx context.Context, usual time.Duration) (context.Context, context.CancelFunc) {
	if s.flags.timeout > 0 {
		return ctx, func() {}
	}
	return limited(ctx, usual)
}

func limited(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("not done within %s: %w", d, context.DeadlineExceeded))
}

// note tells the person something beside the answer.
func (s *session) note(format string, args ...any) { fmt.Fprintf(s.Err, format+"\n", args...) }
