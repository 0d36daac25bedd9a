package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/osmoslice/osmoslice/models"
)

// problem is an error of the service (RFC 7807).
type problem struct {
	status int
	models.Problem
}

func problemOf(status int, body []byte) *problem {
	p := &problem{status: status}
	if json.Unmarshal(body, &p.Problem) != nil || p.Detail == nil {
		text := strings.TrimSpace(string(body))
		if len(text) > 200 {
			text = text[:200] + "…"
		}
		if text == "" {
			text = "no explanation"
		}
		p.Detail = &text
	}
	return p
}

// Error is the detail with every wrong field on a line of its own.
func (p *problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", *p.Detail, p.status)
	for _, f := range p.InvalidParams {
		if f == nil {
			continue
		}
		fmt.Fprintf(&b, "\n  %s: %s", word(f.Name), strings.TrimSpace(wrong(f)))
	}
	if p.Instance != "" && !strings.Contains(*p.Detail, p.Instance) {
		fmt.Fprintf(&b, "\n  see %s", p.Instance)
	}
	if p.RequestID != "" && p.status >= 500 {
		fmt.Fprintf(&b, "\n  request %s", p.RequestID)
	}
	return b.String()
}

func wrong(f *models.InvalidParam) string {
	switch {
	case f.Allowed != "" && f.Given != "":
		return fmt.Sprintf("given %q, allowed: %s", f.Given, f.Allowed)
	case f.Allowed != "":
		return "allowed: " + f.Allowed
	}
	return word(f.Reason)
}

func word(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// unreachable is a service that does not answer.
type unreachable struct{ error }

func (e unreachable) Unwrap() error { return e.error }
