package fulfilment

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// wantedRE finds ${config:NAME} and ${secret:NAME}: what only the element can
// give.
var wantedRE = regexp.MustCompile(`\$\{(config|secret):([^}]*)\}`)

// checkProduct refuses an element whose product does not exist, is not for its
// kind, or cannot work with what the element configures. path is where the
// element stands in the order, "" for itself.
func (u *unit) checkProduct(ctx context.Context, e *slice.Element, path string) error {
	pr, err := u.s.product(ctx, u.Tx, e.Tenant, e.Product, e.Version)
	if fault.Is(err, fault.NotFound) {
		return fault.Field(below(path, "product"), e.Product+" "+e.Version, "the name (and version) of a product in the catalogue")
	}
	if err != nil {
		return err
	}
	if pr.Element != e.Element {
		return fault.Field(below(path, "product"), e.Product, fmt.Sprintf("a product for a %s; this one is for a %s", e.Element, pr.Element))
	}
	if err := u.s.checkConfiguration(pr, e, path); err != nil {
		return err
	}
	return u.checkSecrets(ctx, e, path)
}

// below is the path of an element's field.
func below(path, field string) string {
	if path == "" {
		return field
	}
	return path + "/" + field
}

// checkConfiguration refuses an element that leaves out what its product's
// templates want, or configures what the product's schema does not allow. Every
// wrong field is named in one answer.
func (s *Service) checkConfiguration(pr *slice.Product, e *slice.Element, path string) error {
	f := fault.New(fault.Invalid, "%q cannot be a %s %s as configured", e.Name, pr.Name, pr.Version)
	wanted := func(text, by string) {
		for _, m := range wantedRE.FindAllStringSubmatch(text, -1) {
			kind, name := m[1], m[2]
			switch {
			case kind == "config" && !has(e.Configuration, name):
				_ = f.With(below(path, "configuration/"+name), "", "a value: "+by+" wants it")
			case kind == "secret" && name != "admin" && !has(e.SecretRefs, name):
				_ = f.With(below(path, "secretRefs/"+name), "", "the id or name of a secret: "+by+" wants it")
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(pr.Configuration)) {
		wanted(pr.Configuration[k], "configuration "+k+" of the product")
	}
	for _, k := range slices.Sorted(maps.Keys(pr.Files)) {
		wanted(pr.Files[k], "file "+k+" of the product")
	}
	for _, d := range slices.Sorted(maps.Keys(pr.Packaging)) {
		if p := pr.Packaging[d].Process; p != nil {
			wanted(strings.Join(p.Args, " "), "an argument of the product")
		}
	}
	for i, a := range e.Args {
		wanted(a, fmt.Sprintf("args/%d", i))
	}
	for _, k := range slices.Sorted(maps.Keys(e.Configuration)) {
		wanted(e.Configuration[k], "configuration "+k)
	}
	if s.c.Schemas != nil {
		if err := s.c.Schemas.Fits(below(path, "configuration"), pr.ConfigurationSchema, e.Configuration, hidden(pr, e)); err != nil {
			wrong := fault.Of(err)
			if wrong.Kind != fault.Invalid {
				return err
			}
			f.Params = append(f.Params, wrong.Params...)
		}
	}
	if len(f.Params) == 0 {
		return nil
	}
	return f
}

func has(m map[string]string, k string) bool { _, ok := m[k]; return ok }

// hidden are the secret references that become configuration of their own,
// rather than fill in a template.
func hidden(pr *slice.Product, e *slice.Element) []string {
	var out []string
	for k := range e.SecretRefs {
		if k != "admin" && !mentions(pr, "${secret:"+k+"}") {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// checkSecrets refuses a reference to a secret that the tenant does not have.
func (u *unit) checkSecrets(ctx context.Context, e *slice.Element, path string) error {
	if u.s.c.Secrets == nil {
		return nil
	}
	check := func(field, ref string) error {
		return u.knownSecret(ctx, e.Tenant, below(path, field), ref)
	}
	for _, k := range slices.Sorted(maps.Keys(e.SecretRefs)) {
		if err := check("secretRefs/"+k, e.SecretRefs[k]); err != nil {
			return err
		}
	}
	if e.CredentialsRef == "" {
		return nil
	}
	return check("credentialsRef", e.CredentialsRef)
}

// knownSecret refuses, for a field, a reference to a secret that the tenant does
// not have.
func (u *unit) knownSecret(ctx context.Context, tenant, field, ref string) error {
	_, err := u.s.c.Secrets.Find(ctx, u.Tx, tenant, ref)
	if fault.Is(err, fault.NotFound) {
		return fault.Field(field, ref, "the id or name of a secret of this tenant")
	}
	return err
}

// checkSchema refuses a product whose configuration schema cannot be used.
func (s *Service) checkSchema(p *slice.Product) error {
	if s.c.Schemas == nil {
		return nil
	}
	return s.c.Schemas.Compiles("configurationSchema", p.ConfigurationSchema)
}
