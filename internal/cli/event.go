package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

var eventColumns = []column{
	{"POSITION", "position", false}, {"TIME", "time", false}, {"TYPE", "notificationType", false}, {"KIND", "resourceKind", false},
	{"NAME", "resourceName", false}, {"STATE", "state", false}, {"OPERATION", "operationState", false},
	{"ID", "resourceId", true}, {"CHANGES", "changes", true}, {"CAUSE", "cause", false},
}

type eventFlags struct {
	filter string
	after  int64
	limit  int
	follow bool
}

// eventCommand lists what happened, or follows what happens.
func (s *session) eventCommand() *cobra.Command {
	f := &eventFlags{after: -1}
	c := &cobra.Command{
		Use: "event", Aliases: []string{"events"}, Short: "List events, or follow them as they come",
		Args: func(cmd *cobra.Command, a []string) error {
			if len(a) > 0 && (len(a) > 1 || a[0] != "list") {
				return usagef("%s takes no argument but list; given %q", cmd.CommandPath(), strings.Join(a, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.limit < 0 {
				return usagef("--limit: given %d, allowed: 0 or more", f.limit)
			}
			if f.follow {
				return s.follow(cmd.Context(), f)
			}
			return s.listEvents(cmd.Context(), f)
		},
	}
	c.Flags().BoolVar(&f.follow, "follow", false, "go on with what happens; a broken connection resumes where it was")
	c.Flags().StringVar(&f.filter, "filter", "", "attribute filter over events")
	c.Flags().Int64Var(&f.after, "after", -1, "begin after this position")
	c.Flags().IntVar(&f.limit, "limit", 0, "how many at most; 0: all")
	return c
}

func (f *eventFlags) query() url.Values {
	q := url.Values{}
	if f.filter != "" {
		q.Set("filter", f.filter)
	}
	return q
}

func (s *session) listEvents(ctx context.Context, f *eventFlags) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	q := f.query()
	if f.after >= 0 {
		q.Set("after", fmt.Sprint(f.after))
	}
	rows, err := w.list(ctx, call{path: "/events", query: q}, f.limit)
	if err != nil {
		return err
	}
	return s.printList(eventColumns, rows)
}

// errEnough ends a stream that has told enough.
var errEnough = errors.New("enough")

// reconnect is how long a broken stream waits.
const reconnect = time.Second

// follow prints events as they come, each a line (JSON with -o json), and
// resumes after the last position when the connection breaks.
func (s *session) follow(ctx context.Context, f *eventFlags) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	last, told := "", 0
	if f.after >= 0 {
		last = fmt.Sprint(f.after)
	}
	for {
		c := call{method: http.MethodGet, path: "/events", query: f.query(), accept: "text/event-stream"}
		if last != "" {
			c.header = map[string]string{"Last-Event-ID": last}
		}
		c.stream = func(r io.Reader) error {
			return readStream(r, func(id, data string) error {
				if err := s.printEvent(json.RawMessage(data)); err != nil {
					return err
				}
				last, told = id, told+1
				if f.limit > 0 && told >= f.limit {
					return errEnough
				}
				return nil
			})
		}
		_, err := w.do(ctx, c)
		switch {
		case errors.Is(err, errEnough):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isProblem(err):
			return err
		}
		s.note("connection lost (%v); resuming after position %s", err, first(last, "now"))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(reconnect):
		}
	}
}

// readStream reads Server-Sent Events (WHATWG HTML §9.2.6) until the end.
func readStream(r io.Reader, each func(id, data string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	id := ""
	var data []string
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if len(data) > 0 {
				if err := each(id, strings.Join(data, "\n")); err != nil {
					return err
				}
			}
			data = nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			id = value
		case "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// printEvent prints one event on one line.
func (s *session) printEvent(raw json.RawMessage) error {
	switch s.flags.output {
	case "json":
		_, err := fmt.Fprintln(s.Out, string(raw))
		return err
	case "yaml":
		if _, err := fmt.Fprintln(s.Out, "---"); err != nil {
			return err
		}
		return writeYAML(s.Out, raw)
	}
	v, err := decoded(raw)
	if err != nil {
		return err
	}
	state := first(textAt(v, "operationState"), textAt(v, "state"))
	_, err = fmt.Fprintf(s.Out, "%s  %s  %s %s  %s %s\n", cell(lookup(v, "position")), cell(lookup(v, "time")),
		cell(lookup(v, "notificationType")), cell(lookup(v, "resourceName")), state, clean(textAt(v, "cause")))
	return err
}

func textAt(v any, path string) string {
	t, _ := lookup(v, path).(string)
	return clean(t)
}
