package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// shell runs the shipped programs and shows what it does.
type shell struct {
	out  io.Writer
	bin  string   // folder of the programs
	env  []string // for slicectl
	from time.Time
}

func (s *shell) title(format string, args ...any) {
	fmt.Fprintf(s.out, "\n\033[1m[%5.1f s] %s\033[0m\n", time.Since(s.from).Seconds(), fmt.Sprintf(format, args...))
}

func (s *shell) say(format string, args ...any) { fmt.Fprintf(s.out, "  "+format+"\n", args...) }

// slicectl runs the command line, showing command and output.
func (s *shell) slicectl(ctx context.Context, args ...string) error {
	fmt.Fprintf(s.out, "  $ slicectl %s\n", strings.Join(args, " "))
	cmd := s.command(ctx, args...)
	w := &indent{w: s.out}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("slicectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// ask runs the command line with -o json and decodes what it prints, quietly.
func (s *shell) ask(ctx context.Context, into any, args ...string) error {
	cmd := s.command(ctx, append(args, "-o", "json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("slicectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("slicectl %s: not JSON: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (s *shell) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "slicectl"), args...)
	cmd.Env = append(os.Environ(), s.env...)
	return cmd
}

// indent shifts every line it writes.
type indent struct {
	w    io.Writer
	part []byte
}

func (i *indent) Write(p []byte) (int, error) {
	i.part = append(i.part, p...)
	for {
		at := bytes.IndexByte(i.part, '\n')
		if at < 0 {
			return len(p), nil
		}
		if _, err := fmt.Fprintf(i.w, "    %s\n", i.part[:at]); err != nil {
			return 0, err
		}
		i.part = i.part[at+1:]
	}
}

// until repeats f until it answers nil; the last error is told when ctx or the
// time is over.
func until(ctx context.Context, within time.Duration, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s, after %v: %w", what, within, errors.Join(err, context.Cause(ctx)))
		case <-tick.C:
		}
	}
}
