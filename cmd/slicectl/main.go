// Command slicectl is the command line over the public API.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/osmoslice/osmoslice/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	env := cli.Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Home: home,
		Terminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if term.IsTerminal(int(os.Stdin.Fd())) && env.Terminal {
		env.Prompt = prompt
	}
	return cli.Run(ctx, os.Args[1:], env)
}

// prompt asks for a secret without showing it.
func prompt(question string) (string, error) {
	fmt.Fprint(os.Stderr, question)
	defer fmt.Fprintln(os.Stderr)
	value, err := term.ReadPassword(int(os.Stdin.Fd()))
	return string(value), err
}
