package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// keyVerbs: a key is made with a role; its token is told once.
func keyVerbs(s *session, n *noun) []*cobra.Command {
	var role, expires, saveTo string
	var tenants []string
	c := &cobra.Command{
		Use: "create NAME --role ROLE", Short: "Make an API key; its token is told only now",
		Args: args(1, 1, "a name"),
	}
	c.Flags().StringVar(&role, "role", "", "system-admin, oss, tenant-admin, tenant-operator or tenant-viewer")
	c.Flags().StringSliceVar(&tenants, "for", nil, "tenants it acts for, by id or name")
	c.Flags().StringVar(&expires, "expires", "", "when it ends: a time (2027-01-31T00:00:00Z) or a duration (720h)")
	c.Flags().StringVar(&saveTo, "save-to", "", "write the token to a new file of mode 0600 instead of printing it")
	change := changeFlagsOn(c, false)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if role == "" {
			return usagef("--role is missing: what may the key do?")
		}
		body := map[string]any{"name": a[0], "role": role}
		if expires != "" {
			when, err := moment("expires", expires)
			if err != nil {
				return err
			}
			body["expiresAt"] = when
		}
		return s.createKey(cmd.Context(), n, body, tenants, saveTo, change)
	}
	return []*cobra.Command{c}
}

func moment(flag, text string) (string, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return time.Now().Add(d).UTC().Format(time.RFC3339Nano), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", usagef("--%s: given %q, allowed: a time such as 2027-01-31T00:00:00Z, or a duration such as 720h", flag, text)
	}
	return t.Format(time.RFC3339), nil
}

func (s *session) createKey(ctx context.Context, n *noun, body map[string]any, tenants []string, saveTo string, change *changeFlags) error {
	var file io.WriteCloser
	if saveTo != "" && !change.dryRun { // before the key is made: a token must not get lost
		f, err := os.OpenFile(saveTo, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return usagef("--save-to: %v", err)
		}
		file = f
	}
	err := s.makeKey(ctx, n, body, tenants, file, change)
	if file == nil {
		return err
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(saveTo)
	}
	return err
}

func (s *session) makeKey(ctx context.Context, n *noun, body map[string]any, tenants []string, file io.Writer, change *changeFlags) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	ids := []string{}
	for _, t := range tenants {
		id, err := s.id(ctx, nounOf("tenant"), "", t)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if len(ids) > 0 {
		body["tenantIds"] = ids
	}
	a, err := w.do(ctx, change.on(call{method: http.MethodPost, path: "/apiKeys", body: body}))
	if err != nil {
		return err
	}
	if change.dryRun {
		return s.showPlan(ctx, n, "created", a.body)
	}
	if file != nil {
		if a.body, err = keepToken(a.body, file); err != nil {
			return err
		}
	}
	if s.structured() {
		return s.printOne(n.columns, a.body)
	}
	s.tell(n, "created", a)
	return nil
}

// secretVerbs: values come from a file, standard input, the environment or a
// prompt, never from the command line, where others can read them.
func secretVerbs(s *session, n *noun) []*cobra.Command {
	create := &cobra.Command{Use: "create NAME", Short: "Keep a value that no call ever answers", Args: args(1, 1, "a name")}
	from := valueFlagsOn(create)
	change := changeFlagsOn(create, false)
	var labels []string
	create.Flags().StringArrayVarP(&labels, "label", "l", nil, "label: KEY=VALUE")
	create.RunE = func(cmd *cobra.Command, a []string) error {
		body, err := s.secretValue(from)
		if err != nil {
			return err
		}
		body["name"] = a[0]
		if len(labels) > 0 {
			if body["labels"], err = pairsOf("label", labels); err != nil {
				return err
			}
		}
		row, err := s.submit(cmd.Context(), n, "created", func(context.Context) (call, error) {
			return change.on(call{method: http.MethodPost, path: "/secrets", body: body}), nil
		})
		if err != nil || !s.structured() {
			return err
		}
		return s.printOne(n.columns, row)
	}
	set := &cobra.Command{
		Use: "set NAME", Short: "Write a new value", Args: args(1, 1, "the name or id of a secret"),
		ValidArgsFunction: s.completeNames(n, nil),
	}
	fromToo := valueFlagsOn(set)
	changeToo := changeFlagsOn(set, true)
	set.RunE = func(cmd *cobra.Command, a []string) error {
		body, err := s.secretValue(fromToo)
		if err != nil {
			return err
		}
		row, err := s.submit(cmd.Context(), n, "updated", func(ctx context.Context) (call, error) {
			id, err := s.id(ctx, n, "", a[0])
			return changeToo.on(call{method: http.MethodPut, path: "/secrets/{id}/value", ids: []string{id}, body: body}), err
		})
		if err != nil || !s.structured() {
			return err
		}
		return s.printOne(n.columns, row)
	}
	return []*cobra.Command{create, set}
}

type valueFlags struct{ file, env string }

func valueFlagsOn(c *cobra.Command) *valueFlags {
	v := &valueFlags{}
	c.Flags().StringVar(&v.file, "from-file", "", "file with the value; - is standard input; one line end at its end is not part of it")
	c.Flags().StringVar(&v.env, "from-env", "", "environment variable with the value")
	return v
}

// maxSecret is the API's bound on a value.
const maxSecret = 65536

func (s *session) secretValue(from *valueFlags) (map[string]any, error) {
	var value string
	switch {
	case from.file != "" && from.env != "":
		return nil, usagef("give either --from-file or --from-env")
	case from.file != "":
		raw, name, err := s.readInput(from.file)
		if err != nil {
			return nil, err
		}
		if value = strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r"); value == "" {
			return nil, usagef("%s is empty", name)
		}
	case from.env != "":
		if value = s.Getenv(from.env); value == "" {
			return nil, usagef("--from-env: %s is not set", from.env)
		}
	case s.Prompt != nil:
		var err error
		if value, err = s.Prompt("Value: "); err != nil {
			return nil, err
		}
	}
	if value == "" {
		return nil, usagef("no value: give --from-file FILE (- is standard input) or --from-env NAME")
	}
	if len(value) > maxSecret {
		return nil, usagef("the value has %d bytes, allowed: at most %d", len(value), maxSecret)
	}
	if !utf8.ValidString(value) {
		return map[string]any{"value": base64.StdEncoding.EncodeToString([]byte(value)), "encoding": "base64"}, nil
	}
	return map[string]any{"value": value}, nil
}

// keepToken writes the token to its file and takes it out of the answer.
func keepToken(body []byte, file io.Writer) ([]byte, error) {
	m := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("the service answered no key: %w", err)
	}
	var token string
	if err := json.Unmarshal(m["token"], &token); err != nil || token == "" {
		return nil, errors.New("the service answered no token")
	}
	if _, err := io.WriteString(file, token+"\n"); err != nil {
		return nil, err
	}
	delete(m, "token")
	return json.Marshal(m)
}
