package rest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// tags are the entity tags of If-Match or If-None-Match.
type tags struct {
	any    bool    // "*"
	strong []int64 // revisions named by strong tags
	weak   []int64
}

// parseTags reads a header of RFC 9110 §13.1: "*" or a list of entity tags. Tags
// that are no revision are well-formed and match nothing.
func parseTags(name string, values []string) (t tags, err error) {
	s := strings.TrimSpace(strings.Join(values, ","))
	if s == "*" {
		return tags{any: true}, nil
	}
	bad := fault.New(fault.Malformed, "%s is not valid", name).With(name, s, `* or entity tags such as "12", separated by commas`)
	for s != "" {
		rest, weak := strings.CutPrefix(s, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return t, bad
		}
		tag, after, closed := strings.Cut(rest[1:], `"`)
		if !closed || strings.ContainsAny(tag, " \t") {
			return t, bad
		}
		if n, err := strconv.ParseInt(tag, 10, 64); err == nil && n > 0 && tag[0] != '+' {
			if weak {
				t.weak = append(t.weak, n)
			} else {
				t.strong = append(t.strong, n)
			}
		}
		after = strings.TrimLeft(after, " \t")
		if after != "" {
			if after[0] != ',' {
				return t, bad
			}
			after = strings.TrimLeft(after, ", \t")
		}
		s = after
	}
	return t, nil
}

// notModified reports whether If-None-Match names the revision (weak
// comparison, RFC 9110 §8.8.3.2).
func notModified(r *http.Request, revision int64) (bool, error) {
	values := r.Header.Values("If-None-Match")
	if len(values) == 0 {
		return false, nil
	}
	t, err := parseTags("If-None-Match", values)
	return t.any || slices.Contains(t.strong, revision) || slices.Contains(t.weak, revision), err
}

// optionsFor is options for a resource that was found by its name; there is nil
// when there is none, which no If-Match fits (RFC 9110 §13.1.1).
func (a *api) optionsFor(r *http.Request, there slice.Resource, kind slice.Kind, dryRun *bool) (fulfilment.Options, error) {
	if there != nil {
		return a.options(r, kind, there.Head().ID, dryRun)
	}
	if values := r.Header.Values("If-Match"); len(values) > 0 {
		return fulfilment.Options{}, fault.New(fault.PreconditionFailed, "there is no resource of this name").
			With("If-Match", strings.Join(values, ", "), "no such header, to create it")
	}
	return fulfilment.Options{DryRun: is(dryRun)}, nil
}

// options reads what a mutating call says beside its body. With several tags in
// If-Match the current revision is read first; the use case still checks it in
// its transaction.
func (a *api) options(r *http.Request, kind slice.Kind, id string, dryRun *bool) (fulfilment.Options, error) {
	return optionsOf(r, dryRun, func() (int64, error) {
		x, err := a.deps.Reads.Get(r.Context(), kind, id)
		if err != nil {
			return 0, err
		}
		return x.Head().Revision, nil
	})
}

// optionsOf is options for what has a revision of another kind.
func optionsOf(r *http.Request, dryRun *bool, revision func() (int64, error)) (o fulfilment.Options, err error) {
	o.DryRun = dryRun != nil && *dryRun
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return o, nil
	}
	t, err := parseTags("If-Match", values)
	if err != nil || t.any {
		return o, err
	}
	switch len(t.strong) {
	case 0:
	case 1:
		o.IfMatch = t.strong[0]
		return o, nil
	default:
		if o.IfMatch, err = revision(); err != nil {
			return o, err
		}
		if slices.Contains(t.strong, o.IfMatch) {
			return o, nil
		}
	}
	return o, fault.New(fault.PreconditionFailed, "the resource has another revision").
		With("If-Match", strings.Join(values, ", "), "the ETag of the resource as it is now")
}
