package fulfilment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// deployment makes the whole wish for one element, everything resolved that the
// driver does not resolve itself.
func (s *Service) deployment(ctx context.Context, tx operation.Tx, c operation.Call, a deployArgs) (domain.Deployment, domain.Driver, error) {
	none := domain.Deployment{}
	v, site, err := s.site(ctx, tx, a.Infrastructure)
	if err != nil {
		return none, nil, err
	}
	driver, err := s.plugin(v)
	if err != nil {
		return none, nil, err
	}
	ref := domain.Ref{Site: site, Slice: c.Operation.Slice, Element: a.Element, Release: a.Release, Generation: c.Generation}
	if c.Again {
		return domain.Deployment{Ref: ref}, driver, nil
	}
	e, err := s.element(ctx, tx, a.Element)
	if err != nil {
		return none, nil, err
	}
	if a.Spec != nil {
		a.Spec.restore(e)
	}
	if a.NodeName == "" && a.Node != "" { // an update in place or a restore: drivers know nodes by name
		if n, err := tx.Get(ctx, slice.KindNode, a.Node); err == nil {
			a.NodeName = n.Head().Name
		}
	}
	pr, err := s.product(ctx, tx, e.Tenant, e.Product, a.Version)
	if err != nil {
		return none, nil, err
	}
	pack, ok := pr.Packaging[v.Plugin]
	if !ok {
		return none, nil, fault.New(fault.Invalid, "product %s %s is not packaged for plugin %s", pr.Name, pr.Version, v.Plugin)
	}
	r := &resolver{s: s, ctx: ctx, tx: tx, e: e, slice: c.Operation.Slice}
	d := domain.Deployment{
		Ref: ref, Tenant: e.Tenant, Node: a.Node, NodeName: a.NodeName, Product: pr.Name, Version: pr.Version,
		Replicas: e.Replicas, Ports: pr.Ports,
		Resources: perReplica(a.Uses, e.Replicas),
		Labels:    map[string]string{"osmoslice/slice": c.Operation.Slice, "osmoslice/element": e.ID, "osmoslice/name": e.Name},
	}
	if p := pr.Probe; p != nil {
		seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
		d.Probe = domain.Probe{Port: p.Port, Path: p.Path, Interval: seconds(p.IntervalSeconds), Timeout: seconds(p.TimeoutSeconds)}
	}
	d.Packaging = r.packaging(pack)
	d.Args = r.all(e.Args)
	d.Env = r.environment(pr)
	d.Files = r.files(pr)
	if r.err != nil {
		return none, nil, r.err
	}
	d.Hash = digest(&d)
	return d, driver, nil
}

func perReplica(u slice.Requirements, replicas int) domain.Resources {
	k := int64(max(replicas, 1))
	return domain.Resources{CPU: u.CPU / k, Memory: u.Memory / k, Storage: u.Storage / k}
}

// digest is the SHA-256 of a deployment without what changes by itself.
func digest(d *domain.Deployment) string {
	c := *d
	c.Generation, c.Hash = 0, ""
	c.Site = domain.Site{ID: d.Site.ID}
	b, err := json.Marshal(&c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// resolver fills in the placeholders that the driver does not know.
type resolver struct {
	s      *Service
	ctx    context.Context
	tx     operation.Tx
	e      *slice.Element
	slice  string
	uplink map[string]string
	server *slice.Element
	err    error
}

func (r *resolver) fail(err error) string {
	if r.err == nil {
		r.err = err
	}
	return ""
}

// text resolves one template; ${port:…}, ${listen:…}, ${dir} and ${file:…} stay
// for the driver.
func (r *resolver) text(in string) string {
	var out strings.Builder
	for {
		i := strings.Index(in, "${")
		if i < 0 {
			break
		}
		j := strings.IndexByte(in[i:], '}')
		if j < 0 {
			break
		}
		out.WriteString(in[:i])
		out.WriteString(r.one(in[i+2:i+j], in[i:i+j+1]))
		in = in[i+j+1:]
	}
	out.WriteString(in)
	return out.String()
}

func (r *resolver) one(what, whole string) string {
	kind, name, _ := strings.Cut(what, ":")
	switch kind {
	case "element":
		return r.e.Name
	case "slice":
		return r.slice
	case "config":
		v, ok := r.e.Configuration[name]
		if !ok {
			return r.fail(fault.New(fault.Invalid, "%q has no configuration %q, which its product wants", r.e.Name, name).
				With("configuration/"+name, "", "a value"))
		}
		return v
	case "secret":
		return r.secret(name)
	case "server":
		return r.serverURL(name)
	case "uplink":
		return r.uplinkField(name)
	}
	return whole
}

func (r *resolver) secret(name string) string {
	ref := r.e.SecretRefs[name]
	if name == "admin" {
		ref = firstOf(r.e.CredentialsRef, ref)
	}
	if ref == "" {
		return r.fail(fault.New(fault.Invalid, "%q names no secret %q, which its product wants", r.e.Name, name).
			With("secretRefs/"+name, "", "the id or name of a secret"))
	}
	v, err := r.s.resolve(r.ctx, r.tx, ref, r.e.Tenant)
	if err != nil {
		return r.fail(err)
	}
	return string(v)
}

func (r *resolver) serverURL(port string) string {
	if r.server == nil {
		server, err := r.s.serverFor(r.ctx, r.tx, r.e)
		if err != nil {
			return r.fail(err)
		}
		r.server = server
	}
	if r.server.Run == nil || r.server.Run.Endpoints[port] == "" {
		return r.fail(fault.New(fault.Unavailable, "server %q tells no endpoint %q", r.server.Name, port).Retrying(fault.Backoff))
	}
	return r.server.Run.Endpoints[port]
}

func (r *resolver) uplinkField(name string) string {
	if r.uplink == nil {
		u, err := r.s.uplink(r.ctx, r.tx, r.e)
		if err != nil {
			return r.fail(err)
		}
		channel := ""
		if parts := strings.Split(u.Topic, "/"); len(parts) > 1 {
			channel = parts[1]
		}
		r.uplink = map[string]string{
			"protocol": string(u.Protocol), "address": u.Address, "topic": u.Topic, "clientId": u.ClientID,
			"username": u.Username, "password": u.Password, "downTopic": u.DownTopic, "channel": channel,
			"sources": strings.Join(u.Sources, ","),
		}
	}
	v, ok := r.uplink[name]
	if !ok {
		return r.fail(fault.New(fault.Invalid, "${uplink:%s} is not known", name).With("uplink", name, strings.Join(slices.Sorted(maps.Keys(r.uplink)), ", ")))
	}
	return v
}

func (r *resolver) all(in []string) []string {
	out := make([]string, 0, len(in))
	for _, v := range in {
		out = append(out, r.text(v))
	}
	return out
}

// artefactKey is the configuration that names the executable of a product
// whose artefact is "process".
const artefactKey = "ARTEFACT"

func (r *resolver) packaging(p slice.Packaging) slice.Packaging {
	if p.Process != nil {
		c := *p.Process
		c.Args = r.all(c.Args)
		if v := r.e.Configuration[artefactKey]; c.Artefact == "process" && v != "" {
			c.Artefact = v
		}
		p.Process = &c
	}
	if p.Chart != nil {
		c := *p.Chart
		c.Values = r.values(c.Values)
		p.Chart = &c
	}
	return p
}

// values resolves the texts of a chart's values. A secret there would be
// recorded in the clear, so it is refused.
func (r *resolver) values(raw json.RawMessage) json.RawMessage {
	if !bytes.Contains(raw, []byte("${")) {
		return raw
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		r.fail(fault.Field("packaging/chart/values", string(raw), "a JSON object"))
		return raw
	}
	out, err := json.Marshal(r.tree(v))
	if err != nil {
		r.fail(fault.New(fault.Internal, "a chart's values cannot be written").Because(err))
		return raw
	}
	return out
}

func (r *resolver) tree(v any) any {
	switch t := v.(type) {
	case string:
		if strings.Contains(t, "${secret:") || strings.Contains(t, "${uplink:") {
			return r.fail(fault.Field("packaging/chart/values", t, "no secrets: configuration and files carry them"))
		}
		return r.text(t)
	case []any:
		for i := range t {
			t[i] = r.tree(t[i])
		}
	case map[string]any:
		for k := range t {
			t[k] = r.tree(t[k])
		}
	}
	return v
}

// environment is the product's template, overlaid by the element's
// configuration and its secret references.
func (r *resolver) environment(pr *slice.Product) map[string]string {
	env := map[string]string{}
	for k, v := range pr.Configuration {
		env[k] = r.text(v)
	}
	for k, v := range r.e.Configuration {
		if k != artefactKey {
			env[k] = r.text(v)
		}
	}
	for k := range r.e.SecretRefs {
		if _, templated := pr.Configuration[k]; !templated && !mentions(pr, "${secret:"+k+"}") {
			env[k] = r.secret(k)
		}
	}
	return env
}

// mentions reports whether a product's templates hold a text.
func mentions(pr *slice.Product, text string) bool {
	for _, m := range []map[string]string{pr.Configuration, pr.Files} {
		for _, v := range m {
			if strings.Contains(v, text) {
				return true
			}
		}
	}
	return false
}

func wantsCredentials(pr *slice.Product) bool { return mentions(pr, "${secret:admin}") }

func (r *resolver) files(pr *slice.Product) map[string][]byte {
	if len(pr.Files) == 0 {
		return nil
	}
	out := map[string][]byte{}
	for name, v := range pr.Files {
		out[name] = []byte(r.text(v))
	}
	return out
}
